"""Values that the configs ask for by name (${run_dir:...}), and what is asked of a config.

Every command imports this first, and a sweep nothing that is heavier: PyTorch takes seconds.
"""

import atexit
import itertools
import netrc
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from oadls.cache import cache_folder
from oadls.errors import UserError
from oadls.names import LONGEST, printable

# settings that may change on resuming
RESUMABLE = ("ckpt_path", "trainer", "logger", "floors", "report", "headline_leaks", "trust")


def project_root() -> str:
    """Folder that holds conf, oadls and outputs, wherever the command is typed."""
    return str(Path(__file__).resolve().parent.parent)


def below(folder: Path, name: str, *, setting: str) -> Path:
    """The folder of that name below another; UserError for a name that leads anywhere else.

    name : one name, or several joined by "/"
    """
    parts = str(name).split("/")
    plain = str(name).isprintable() and not {"", ".", ".."} & set(parts)
    if not plain or any(len(part.encode()) > LONGEST for part in parts):
        raise UserError(
            f"{setting}: the name of a folder in {folder}, of at most {LONGEST} bytes, "
            f"is not {printable(str(name))!r}"
        )
    return Path(folder, *parts)


def outputs_folder() -> Path:
    """Where runs go: OADLS_OUTPUT_DIR, else outputs beside conf and oadls, or in the working folder
    where that is read-only.
    """
    if wanted := os.environ.get("OADLS_OUTPUT_DIR"):
        return Path(wanted).expanduser().absolute()
    home = Path(project_root())
    place = home / "outputs"
    writable = os.access(place if place.is_dir() else home, os.W_OK)
    return place if writable else Path.cwd() / "outputs"


def outputs_of(name: str) -> str:
    """Folder of the runs with this name; UserError for a name that leads elsewhere."""
    return str(below(outputs_folder(), name, setting="name"))


def fixed_settings(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """What a run must share with one that goes on with it: all settings but RESUMABLE.

    Of a row of Table 3 (`row`) it is the schedule alone: the rest is names, and what other settings
    are made from.
    """
    fixed = {str(key): value for key, value in settings.items() if key not in RESUMABLE}
    if row := fixed.get("row"):
        fixed["row"] = {"schedule": row.get("schedule")}
    return fixed


def plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain values, for checkpoints and loggers."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def check_one_device(trainer: Any) -> None:
    """UserError where a sweep's trainer may take several devices for each trial."""
    settings = (trainer.get("devices", 1), trainer.get("num_nodes", 1))
    if settings != (1, 1):
        raise UserError(one_device_a_job(settings[0]))


def one_device_a_job(devices: int | str) -> str:
    """What a multirun whose jobs ask for several devices is told."""
    return (
        f"trainer: in a multirun each job takes one device, not {devices}; "
        "set trainer.devices=1 trainer.num_nodes=1 and run jobs side by side, with "
        "hydra/launcher=joblib hydra.sweeper.n_jobs=N or by the same sweep command on every "
        "machine (README, Search hyper-parameters)"
    )


def run_dir(name: str, ckpt_path: str | None) -> str:
    """A new folder for a new run; the folder of the killed run for one that is resumed.

    Only rank zero has it. Hydra makes one for every process that torchrun or SLURM starts, perhaps
    a second later: the others get one that is deleted when they end.
    """
    if started := _started_rank():
        passing = Path(tempfile.gettempdir(), f"oadls-rank-{started}-{os.getpid()}")
        atexit.register(shutil.rmtree, passing, ignore_errors=True)
        return str(passing)
    if ckpt_path:
        path = Path(ckpt_path).expanduser().absolute()
        return str(path.parent.parent if path.suffix == ".ckpt" else path)
    return new_folder(name)


def new_folder(name: str, prefix: str = "") -> str:
    """Make outputs/NAME/PREFIX<now>, a folder of this command alone, whatever starts beside it.

    raises UserError where nothing may be written
    """
    home = Path(outputs_of(name))
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        folder = home / (f"{prefix}{now}" if number == 1 else f"{prefix}{now}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
        except OSError as error:
            raise UserError(
                f"outputs: {folder} cannot be made ({error.strerror}); start where you may write, "
                "or give another place with hydra.run.dir=FOLDER"
            ) from None
        else:
            return str(folder)
    raise AssertionError


def sqlite_file(file: str) -> str:
    """The address of a SQLite database in a file, whatever characters are in its path."""
    return "sqlite:///" + file.replace("%", "%25").replace("?", "%3F")


def _started_rank() -> int:
    """Which process this is of those that torchrun or SLURM has started."""
    for name, number in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if os.environ.get(number, "1") != "1":
            return int(os.environ.get(name, 0))
    return 0


def wandb_offline() -> bool:
    """W&B talks to its server only where there is a key."""
    if os.environ.get("WANDB_API_KEY"):
        return False
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is None
    except (FileNotFoundError, netrc.NetrcParseError):
        return True


def cpu_precision() -> str:
    """bf16 where the processor has its arithmetic, in which the ACRNN trains faster; else fp32."""
    import torch  # heavy, and most commands that compose a config need no network

    found = torch.cpu.get_capabilities()
    return "bf16-mixed" if found.get("avx512_bf16") or found.get("amx_bf16") else "32-true"


def precision_on(accelerator: str) -> str:
    """The precision of a trainer: bf16 where its accelerator has the arithmetic, else fp32."""
    import torch

    if accelerator == "cpu" or not torch.cuda.is_available():
        return cpu_precision()
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def register_resolvers() -> None:
    """Make the values known to OmegaConf; done when oadls is imported."""
    OmegaConf.register_resolver("outputs_of", outputs_of, replace=True)
    OmegaConf.register_resolver("new_folder", new_folder, replace=True, use_cache=True)
    OmegaConf.register_resolver("sqlite_file", sqlite_file, replace=True)
    OmegaConf.register_resolver("run_dir", run_dir, replace=True, use_cache=True)
    OmegaConf.register_resolver("cpu_precision", cpu_precision, replace=True)
    OmegaConf.register_resolver("precision_on", precision_on, replace=True)
    OmegaConf.register_resolver("wandb_offline", wandb_offline, replace=True)
    OmegaConf.register_resolver("cache_folder", lambda: str(cache_folder()), replace=True)
