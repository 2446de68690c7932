"""Fit a network, keep the checkpoint with the best validation fitness, predict with it once."""

import logging
import secrets
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from oadls.checkpoints import (
    BestEpoch,
    LastEpoch,
    Patience,
    StopsAtOnce,
    WholeCheckpoints,
    last_checkpoint,
)
from oadls.command_line import argument
from oadls.data.dataset import CellData
from oadls.data.split import Split
from oadls.errors import UserError
from oadls.experiment import Experiment, build
from oadls.metrics import PERFECT
from oadls.model.classifier import Classifier, of_all_ranks, pool_views
from oadls.model.network import Network
from oadls.patients import patient_marks
from oadls.publish import publish_text
from oadls.ranks import rank
from oadls.run import SIDES, Fit, prediction_rows
from oadls.run_folder import RunFolder
from oadls.settings import fixed_settings, plain, run_dir
from oadls.stopping import Stopped
from oadls.trust import read_checkpoint, read_settings

HANDOVER = 10  # seconds that loading processes of a killed training may take to end
log = logging.getLogger(__name__)


def run_folder(cfg: Any) -> Path:
    """Where the run goes that a command line asks for."""
    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.output_dir)
    return Path(run_dir(cfg.name, cfg.ckpt_path))


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The run's folder is ours for this block: two trainings never write into one.

    raises UserError while another process trains there; when the training is stopped, what says
    so says how to go on
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=HANDOVER):
            yield
    except Timeout:
        raise UserError(
            f"{folder}: another process trains in this folder; wait for its end, or give another "
            "one with hydra.run.dir=FOLDER"
        ) from None
    except Stopped as stopped:
        if HydraConfig.initialized() and HydraConfig.get().mode != RunMode.MULTIRUN:
            stopped.way_on = f"go on with: {same_training(sys.argv[1:], folder)}"
        raise


def same_training(arguments: Sequence[str], folder: Path) -> str:
    """The command line that goes on with a training in its folder.

    arguments : of the command that was stopped
    """
    kept = [one for one in arguments if not one.startswith(("ckpt_path=", "hydra.run.dir="))]
    return shlex.join(["python", "-m", "oadls.train", *kept, argument("ckpt_path", str(folder))])


def open_run(folder: Path, cfg: Any) -> None:
    """Make the run's folder with its composed config; a resumed run must have the same config."""
    file = folder / "config.yaml"
    if cfg.ckpt_path and not file.is_file():
        raise UserError(f"ckpt_path: no run to resume at {folder} (it has no config.yaml)")
    wanted = plain(cfg)
    if file.is_file():
        before = fixed_settings(read_settings(file))
        changed = [key for key, value in fixed_settings(wanted).items() if value != before.get(key)]
        if changed:
            raise UserError(f"ckpt_path: {folder} was started with other settings of {changed}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints").mkdir(exist_ok=True)
    publish_text(file, OmegaConf.to_yaml(OmegaConf.create(wanted)))


def fit_network(
    experiment: Experiment,
    split: Split,
    folder: Path,
    logger: Logger,
    callbacks: Sequence[Callback],
    *,
    test: bool,
) -> Fit:
    """Fit a network; see `fitting.fit`."""
    cfg = experiment.config
    network = experiment.network(seed=cfg.seed + split.repeat)
    if cfg.training.compile:
        network.head.compile()
    sides = experiment.sides(split)
    if not test:
        sides[sides == "test"] = ""
    data = experiment.data(sides, network.backbone)
    card = {
        "config": plain(cfg),
        "classes": experiment.classes,
        "split": split.name,
        "seen": seen_cells(experiment.table, data),
        "sides": cells_of_sides(experiment.table, experiment.sides(split)),
        "data_fingerprint": experiment.fingerprint,
    }
    model = make_classifier(experiment, network, card)
    history, best = History(), BestEpoch(folder, split.name)
    trainer = make_trainer(
        cfg.trainer,
        max_epochs=cfg.training.epochs,
        logger=logger,
        callbacks=[
            RichProgressBar(leave=False),
            history,
            Patience(
                "val/fitness",
                mode="max",
                patience=cfg.training.patience,
                stopping_threshold=PERFECT,  # no later epoch would be chosen
            ),
            StopsAtOnce(),
            *callbacks,
            best,
            LastEpoch(folder, split.name),
        ],
        default_root_dir=folder,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_model_summary=False,
        deterministic="warn",
    )
    last = last_checkpoint(folder, split.name)
    if last.is_file():
        check_resumable(last, like=cfg)
    trainer.fit(model, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    epochs = history.table()  # predicting restores the history of the best epoch
    wanted = SIDES if test else ("val",)
    chosen = Path(best.best_model_path)
    read_checkpoint(chosen, like=cfg)  # Lightning, which loads it again, looks at no checksum
    if test and rank() == 0:
        RunFolder(folder).note_test(split.name)
    predictions = predict_sides(trainer, model, data, str(chosen), wanted)
    assert best.best_model_score is not None
    return Fit(
        split.name,
        split.fold,
        split.repeat,
        predictions,
        epochs,
        best.best_model_score.item(),
        chosen,
        history.seconds,
    )


def check_resumable(file: Path, *, like: DictConfig) -> None:
    """UserError unless a run can go on from a checkpoint.

    Lightning deletes the files that a checkpoint says were best before: all must lie where it says
    that checkpoints lie, and Lightning follows that only where it is this run's own folder.
    """
    saved = read_checkpoint(file, like=like)
    for state in (saved.get("callbacks") or {}).values():
        if not isinstance(state, Mapping) or "dirpath" not in state:
            continue
        best = [state.get(f"{kind}_model_path") for kind in ("best", "last", "kth_best")]
        for path in filter(None, [*best, *(state.get("best_k_models") or {})]):
            if Path(path).parent != Path(str(state["dirpath"])) or Path(path).suffix != ".ckpt":
                raise UserError(f"checkpoint: {file} names a file elsewhere: {path}")


def make_trainer(config: DictConfig, **settings: Any) -> pl.Trainer:
    """The Trainer of a config, which leaves the loaders as they are.

    raises UserError for what Lightning refuses
    """
    quiet()
    trainer = build(config)
    plugins = list(trainer.keywords.get("plugins") or [])
    if not any(isinstance(each, CheckpointIO) for each in plugins):
        plugins.append(WholeCheckpoints())
    try:
        return trainer(use_distributed_sampler=False, plugins=plugins, **settings)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"trainer: {error}") from error


def make_classifier(experiment: Experiment, network: Network, card: dict[str, Any]) -> Classifier:
    """The LightningModule of a config."""
    training = experiment.config.training
    return Classifier(
        network,
        optimizer=build(experiment.config.optimizer),
        backbone_lr_factor=training.backbone_lr_factor,
        class_weights=training.class_weights and list(training.class_weights),
        label_smoothing=training.label_smoothing,
        seed=experiment.config.seed,
        card=card,
    )


def predict_network(
    experiment: Experiment,
    checkpoint: Path,
    card: dict[str, Any],
    sides: np.ndarray,
    trainer: pl.Trainer,
) -> pd.DataFrame:
    """What the network of a checkpoint says of the cells that are on a side.

    sides : (N,) str, "train", "val", "test" or "" for each row of the table
    """
    network = experiment.network(seed=experiment.config.seed)
    data = experiment.data(sides, network.backbone)
    model = make_classifier(experiment, network, card)
    return predict_sides(trainer, model, data, str(checkpoint))


def predict_sides(
    trainer: pl.Trainer,
    model: Classifier,
    data: CellData,
    checkpoint: str,
    sides: Sequence[str] = SIDES,
) -> pd.DataFrame:
    """Probabilities of every cell of some sides by one checkpoint, with the side it is on.

    raises RuntimeError where the ranks together have not predicted each cell once
    """
    parts = []
    for side in (side for side in sides if len(data.rows(side))):
        seen = trainer.predict(model, data.loader(side), ckpt_path=checkpoint, weights_only=True)
        rows, labels, probabilities = pool_views(of_all_ranks(seen))  # type: ignore[arg-type]
        if not np.array_equal(rows, data.rows(side)):
            raise RuntimeError(f"predict: {len(rows)} cells of {len(data.rows(side))} on {side}")
        parts.append(prediction_rows(rows, side, labels, probabilities))
    return pd.concat(parts, ignore_index=True)


class History(Callback):
    """One row of metrics an epoch; kept in the checkpoint, so that a resumed run has them all.

    seconds : that the epochs took
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **metrics})
        self.seconds += time.perf_counter() - self._start

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds = state_dict["rows"], state_dict["seconds"]

    def table(self) -> pd.DataFrame:
        """epoch, train/loss, train/accuracy, val/..."""
        return pd.DataFrame(self.rows)


def quiet() -> None:
    """Keep the terminal for what a user can act on."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric.utilities.distributed").setLevel(logging.WARNING)
    for text in (
        "does not have many workers",
        "number of training batches",
        "directory .* exists",
        "in eval mode at the start of training",  # the frozen trunk is meant to be
        "when using `ckpt_path`, callbacks used",  # predicting needs none of them
        "isinstance.treespec, LeafSpec.. is deprecated",
        "recommended to use .* sync_dist=True",  # scores are of all ranks already
    ):
        warnings.filterwarnings("ignore", f".*{text}.*")


def cells_of_sides(table: pd.DataFrame, sides: np.ndarray) -> dict[str, list[str]]:
    """Short content hashes of the cells on each side, by which evaluation deals them again."""
    keys = table["pixels_sha256"].str[:16].to_numpy(object)
    return {side: keys[sides == side].tolist() for side in SIDES}


def seen_cells(table: pd.DataFrame, data: CellData) -> dict[str, Any]:
    """Short content hashes and patients by which evaluation knows what a checkpoint has seen.

    Patients are hashed (see `patient_marks`) with a salt of this checkpoint's own.
    """
    seen = table.iloc[np.concatenate([data.rows("train"), data.rows("val")])]
    salt = secrets.token_hex(16)
    return {
        "images": sorted({key[:16] for key in seen["pixels_sha256"]}),
        "salt": salt,
        "patients": sorted(set(patient_marks(seen, salt=salt).dropna())),
    }
