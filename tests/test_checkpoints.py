"""The best epoch and the last one are kept, whole, also in a folder that was moved."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from oadls.checkpoints import BestEpoch, LastEpoch, Patience, WholeCheckpoints
from oadls.errors import UserError


class Told(pl.LightningModule):
    """A network whose validation fitness is what it is told; it counts the epochs it trained."""

    def __init__(self, fitness: list[float]) -> None:
        super().__init__()
        self.layer, self.fitness, self.trained = nn.Linear(1, 1), fitness, 0

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        return self.layer(batch).sum()

    def on_train_epoch_end(self) -> None:
        self.trained += 1
        self.log("val/fitness", self.fitness[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, fitness: list[float], *, epochs: int, patience: int = 99) -> Told:
    """Train in a folder, from its last epoch on where there is one."""
    model, last = Told(fitness), folder / "checkpoints" / "fold_0-last.ckpt"
    patient = Patience("val/fitness", mode="max", patience=patience)
    trainer = pl.Trainer(
        max_epochs=epochs,
        callbacks=[patient, BestEpoch(folder, "fold_0"), LastEpoch(folder, "fold_0")],
        plugins=[WholeCheckpoints()],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = DataLoader(torch.ones(1, 1))
    trainer.fit(model, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    return model


def epoch_of(folder: Path, name: str) -> int:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["epoch"]


def test_the_last_checkpoint_is_the_last_epoch_and_the_best_is_the_best(tmp_path: Path) -> None:
    fit(tmp_path, [0.5, 0.9, 0.3, 0.4], epochs=4)
    assert (epoch_of(tmp_path, "fold_0"), epoch_of(tmp_path, "fold_0-last")) == (1, 3)


def test_a_killed_training_loses_no_epoch(tmp_path: Path) -> None:
    fitness = [0.5, 0.9, 0.3, 0.4, 0.2]
    fit(tmp_path, fitness, epochs=4)
    assert fit(tmp_path, fitness, epochs=5).trained == 1


def test_a_training_in_a_moved_folder_keeps_the_best_epoch_of_before(tmp_path: Path) -> None:
    fitness = [0.5, 0.9, 0.3, 0.4]
    fit(tmp_path / "old", fitness, epochs=3)
    shutil.move(tmp_path / "old", tmp_path / "new")
    fit(tmp_path / "new", fitness, epochs=4)
    assert epoch_of(tmp_path / "new", "fold_0") == 1
    assert not (tmp_path / "old").exists()


def test_a_training_that_was_over_is_over_when_it_is_gone_on_with(tmp_path: Path) -> None:
    fitness = [0.9, 0.1, 0.2, 1.0, 1.0]
    assert fit(tmp_path, fitness, epochs=5, patience=2).trained == 3
    assert fit(tmp_path, fitness, epochs=5, patience=2).trained == 0
    assert epoch_of(tmp_path, "fold_0") == 0


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), SystemExit(1)])
def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    fault: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "fold_0.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, place)

    def half(content: Any, file: Any) -> None:
        Path(file).write_bytes(b"PK")
        raise fault

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises((UserError, SystemExit)) as raised:
        WholeCheckpoints().save_checkpoint({"epoch": 2}, place)
    if isinstance(fault, OSError):
        assert str(raised.value).startswith(f"{place}: ")
        assert "No space left on device" in str(raised.value)
    assert torch.load(place, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [place]
