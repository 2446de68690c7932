"""Which epochs of a training are kept, and how they are written: the best, the last, each whole."""

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from oadls.publish import publish
from oadls.stopping import take_back

LAST = "-last"  # how the name of the last epoch's checkpoint ends


def last_checkpoint(folder: Path, name: str) -> Path:
    """Where the last epoch of a network is kept."""
    return folder / "checkpoints" / f"{name}{LAST}.ckpt"


def best_checkpoints(folder: Path) -> list[Path]:
    """The best epoch of each network in a run's folder, by name."""
    files = sorted((folder / "checkpoints").glob("fold_*.ckpt"))
    return [file for file in files if not file.stem.endswith(LAST)]


class BestEpoch(ModelCheckpoint):
    """Keeps the epoch with the best validation fitness (eqs 10-11) as checkpoints/NAME.ckpt."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(
            folder / "checkpoints",
            filename=name,
            monitor="val/fitness",
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
            auto_insert_metric_name=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What was best until a kill, also where the folder has another name since."""
        here = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else path

        super().load_state_dict(
            state_dict
            | {"dirpath": self.dirpath}
            | {key: moved(state_dict[key]) for key in ("best_model_path", "kth_best_model_path")}
            | {"best_k_models": {moved(k): v for k, v in state_dict["best_k_models"].items()}}
        )


class LastEpoch(ModelCheckpoint):
    """Keeps the last epoch, best or not, as checkpoints/NAME-last.ckpt: where a kill goes on from.

    Lightning's own `save_last` writes only when a best epoch is written. It must stand behind all
    callbacks whose state it is to hold.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(
            folder / "checkpoints",
            filename=f"{name}{LAST}",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing of it is needed: the next epoch is written in the same place."""


class Patience(EarlyStopping):
    """Lightning's early stopping, which also after a kill knows that it had ended the training."""

    over = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self.over = trainer.should_stop

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or self.over

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "over": self.over}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.over = state_dict.get("over", False)  # not in checkpoints of before


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and puts it there when it is whole.

    Lightning's own goes by a temporary folder: from another file system it is copied over the
    old one, and a kill or a full disk within that leaves neither.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None
    ) -> None:
        with publish(Path(path)) as draft:
            torch.save(checkpoint, draft)


class StopsAtOnce(Callback):
    """Lets SIGTERM end a training at once, and not at the end of the batch with status 0."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        take_back()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        take_back()
