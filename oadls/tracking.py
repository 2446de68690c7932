"""W&B: one run for a command, whatever it trains, with the exit state of the command.

`logger=wandb` asks for it; the folder of the run holds all that waits for `wandb sync`.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from oadls.errors import UserError
from oadls.experiment import build
from oadls.settings import plain

if TYPE_CHECKING:
    import wandb

OURS = ("offline", "patients")  # settings that W&B does not know
UNSAID = "(not sent: logger.patients=false)"
STAGING = "WANDB_DATA_DIR"  # where W&B keeps the files of artifacts until they are sent
log = logging.getLogger(__name__)


@contextmanager
def tracked(cfg: Any, folder: Path) -> Iterator["wandb.Run | None"]:
    """The W&B run of a command while it works; None where the logger is another one.

    folder : of the run
    The run ends with this block: exit code 1 when anything was raised, else 0.
    """
    bound: partial[Logger] = build(cfg.logger)
    if bound.func is not WandbLogger or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield None
        return
    with _staging_in(folder):
        board, failed = _open(cfg, folder, bound.keywords), 1
        try:
            yield board
            failed = 0
        finally:
            board.finish(exit_code=failed)
            where = f"wandb sync {Path(board.dir).parent}" if board.offline else board.url
            log.info("W&B: %s", where)


def _open(cfg: Any, folder: Path, settings: Mapping[str, Any]) -> "wandb.Run":
    import wandb

    ours = {
        "dir": folder,
        "mode": "offline" if settings.get("offline") else None,
        "id": _earlier(folder),
        "resume": "allow",
        **dict(zip(("group", "name"), place_of(cfg.name, folder), strict=True)),
        "job_type": "train" if cfg.test else "trial",
        "tags": [cfg.data.name],
        "config": plain(cfg) if settings.get("patients") else without_places(plain(cfg)),
        "settings": wandb.Settings(silent=True, console="off"),
    }
    theirs = {name: value for name, value in settings.items() if name not in OURS}
    try:
        return wandb.init(**ours | theirs)
    except (TypeError, wandb.Error) as error:
        raise UserError(f"logger: {error}") from error


def without_places(config: dict[str, Any]) -> dict[str, Any]:
    """The config without the paths of its data and of its files: they may name a person."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: told(each) for key, each in value.items()}
        if isinstance(value, list):
            return [told(each) for each in value]
        return UNSAID if isinstance(value, str) and {"/", "\\"} & set(value) else value

    return {**config, "data": told(config["data"]), "ckpt_path": told(config.get("ckpt_path"))}


def place_of(name: str, folder: Path) -> tuple[str, str]:
    """Group and name of the run in a folder: experiment and folder; in a sweep, sweep and trial."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return name, folder.name
    trial = Path(HydraConfig.get().sweep.subdir)
    sweep = folder.parents[len(trial.parts) - 1]
    return f"{name}/{sweep.name}", str(trial)


def _earlier(folder: Path) -> str | None:
    """The id of the run that a killed command left in the folder: it is gone on with."""
    found = sorted((folder / "wandb").glob("*run-*-*"))
    return found[-1].name.rsplit("-", 1)[1] if found else None


@contextmanager
def _staging_in(folder: Path) -> Iterator[None]:
    """W&B's home for files that wait, unless the user has chosen one, in the folder of the run."""
    if STAGING in os.environ:
        yield
        return
    os.environ[STAGING] = str(folder / "wandb")
    try:
        yield
    finally:
        del os.environ[STAGING]


class Curves(WandbLogger):
    """Curves of one network in the run of all of them, by epoch.

    prefix : what tells the curves of several networks apart
    All count their epochs from 0 and log them under one name: a row has the curves of one network.
    """

    def __init__(self, board: "wandb.Run", *, prefix: str = "") -> None:
        super().__init__(experiment=board)
        self.prefix = prefix
        board.define_metric("epoch", hidden=True)
        for side in ("train", "val"):
            board.define_metric(f"{prefix}{side}/*", step_metric="epoch")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        named = {self.prefix + name: value for name, value in metrics.items() if name != "epoch"}
        self.experiment.log({"epoch": metrics["epoch"], **named})


def make_logger(
    cfg: Any, folder: Path, name: str, board: "wandb.Run | None" = None, *, prefix: str = ""
) -> Logger:
    """Lightning's logger for the network of that name; prefix : see Curves."""
    if board is not None:
        return Curves(board, prefix=prefix)
    bound: partial[Logger] = build(cfg.logger)
    known = {key: value for key, value in bound.keywords.items() if key not in OURS[1:]}
    return bound.func(*bound.args, **known, save_dir=folder, version=name)
