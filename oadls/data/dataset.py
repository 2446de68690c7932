"""Cells as a network reads them: which cell, which view of it, in which order."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from oadls.errors import UserError
from oadls.ranks import rank, share, world
from oadls.schema import Balance

Reader = Callable[[tuple[str, int]], tuple[np.ndarray, ...]]
Item = tuple[int, int]  # row of the table, view


class CellDataset(Dataset):
    """(row, view) -> inputs of the network, label, row and view.

    keys : content hash of each row's image
    labels : (N,) int64, -1 where unknown
    read : (content hash, view) -> arrays: feature maps from the cache, or the picture
    """

    def __init__(self, keys: list[str], labels: np.ndarray, read: Reader) -> None:
        self.keys, self.labels, self.read = keys, labels, read

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, item: Item) -> dict[str, Any]:
        row, view = item
        inputs = tuple(torch.as_tensor(array) for array in self.read((self.keys[row], view)))
        return {"inputs": inputs, "label": int(self.labels[row]), "row": row, "view": view}


class ViewSampler(Sampler[Item]):
    """Shuffled rows, each in a random view; the order depends on seed and epoch alone.

    weights : chance of each row to be drawn, with replacement; None draws each row once
    """

    def __init__(
        self, rows: np.ndarray, *, views: int, weights: np.ndarray | None, seed: int
    ) -> None:
        self.rows, self.views, self.weights, self.seed = rows, views, weights, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning, so that a resumed run goes on where it was."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Item]:
        rng = np.random.default_rng((self.seed, self.epoch))
        number = len(self.rows)
        if self.weights is None:
            order = rng.permutation(number)
        else:
            order = rng.choice(number, size=number, p=self.weights / self.weights.sum())
        views = rng.integers(self.views, size=number)
        return iter(zip(self.rows[order].tolist(), views.tolist(), strict=True))


class DealtBatches(Sampler[list[Item]]):
    """Every batch of an epoch, dealt to the ranks: in order, as even as can be, nothing twice.

    sampler : the cells of an epoch, in an order that all ranks share
    batch_size : cells of a batch, over all ranks
    A last batch is dropped that would leave a rank without a cell, or a batch norm with one alone.
    raises UserError when a batch has fewer cells than there are ranks
    """

    def __init__(self, sampler: ViewSampler, batch_size: int, *, rank: int, ranks: int) -> None:
        self.sampler, self.batch_size, self.rank, self.ranks = sampler, batch_size, rank, ranks
        if (cells := min(batch_size, len(sampler))) < ranks:
            raise UserError(
                f"training: a batch of {cells} cells cannot be dealt to {ranks} devices; "
                "training.batch_size is over all devices: raise it, or set fewer trainer.devices"
            )

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + (rest >= min(max(2, self.ranks), len(self.sampler)))

    def __iter__(self) -> Iterator[list[Item]]:
        cells = list(self.sampler)
        for number in range(len(self)):
            batch = cells[number * self.batch_size :][: self.batch_size]
            yield batch[share(len(batch), rank=self.rank, ranks=self.ranks)]


def sampling_weights(labels: np.ndarray, groups: np.ndarray, balance: Balance) -> np.ndarray | None:
    """(N,) float: equal classes; with "patient" also equal patients within each class."""
    if balance == "none":
        return None
    _, label, per_label = np.unique(labels, return_inverse=True, return_counts=True)
    if balance == "class":
        return 1 / per_label[label]
    _, group = np.unique(groups, return_inverse=True)
    weights = np.empty(len(labels))
    for k in range(len(per_label)):
        member = label == k
        _, patient, cells = np.unique(group[member], return_inverse=True, return_counts=True)
        weights[member] = 1 / (len(cells) * cells[patient])
    return weights


class CellData(pl.LightningDataModule):
    """The loaders of one split, of which each rank has its share.

    sides : (N,) str, "train", "val", "test" or "" for each row
    batch_size : cells of a batch, over all ranks
    views : how many views of a training cell there are
    test_views : over how many views the probabilities of a validation or test cell are averaged
    pin_memory : batches in memory that a CUDA device copies from while it computes
    """

    def __init__(
        self,
        dataset: CellDataset,
        sides: np.ndarray,
        groups: np.ndarray,
        *,
        batch_size: int,
        views: int,
        test_views: int,
        balance: Balance,
        seed: int,
        workers: int,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.dataset, self.sides, self.groups = dataset, np.asarray(sides), np.asarray(groups)
        self.views, self.test_views, self.balance, self.seed = views, test_views, balance, seed
        self.batch_size = batch_size
        self.loading: dict[str, Any] = {
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": pin_memory,
        }

    def rows(self, side: str) -> np.ndarray:
        """Rows of the table on one side of the split."""
        return np.flatnonzero(self.sides == side)

    def cells(self) -> Iterator[tuple[str, int]]:
        """Every (content hash, view) that training and testing may ask for."""
        for side in ("train", "val", "test"):
            number = max(self.views, self.test_views) if side == "train" else self.test_views
            for row in self.rows(side):
                yield from ((self.dataset.keys[row], view) for view in range(number))

    def train_dataloader(self) -> DataLoader:
        rows = self.rows("train")
        weights = sampling_weights(self.dataset.labels[rows], self.groups[rows], self.balance)
        sampler = ViewSampler(rows, views=self.views, weights=weights, seed=self.seed)
        dealt = DealtBatches(sampler, self.batch_size, rank=rank(), ranks=world())
        return DataLoader(self.dataset, batch_sampler=dealt, **self.loading)

    def val_dataloader(self) -> DataLoader:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader:
        return self.loader("test")

    def loader(self, side: str) -> DataLoader:
        """The cells of one side in order, each in every test view.

        raises UserError when they are fewer than the ranks
        """
        items = [(int(row), view) for row in self.rows(side) for view in range(self.test_views)]
        if len(items) < world():
            raise UserError(f"{side}: {len(items)} views of cells for {world()} devices: set fewer")
        part = items[share(len(items), rank=rank(), ranks=world())]
        size = -(-self.batch_size // world())
        return DataLoader(self.dataset, sampler=part, batch_size=size, **self.loading)
