"""Folds within a training side, as many as its rarest class allows."""

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Split = tuple[np.ndarray, np.ndarray]


def inner_folds(
    labels: np.ndarray, *, groups: np.ndarray | None = None, folds: int, seed: int
) -> list[Split]:
    """Deal the cells of a training side to folds, every class on every training part.

    labels (N,) int; groups (N,) patients, None when they are not known
    folds : at most so many, fewer when a class has fewer patients or cells
    returns (training, held-out) indices of each fold; every cell is held out once

    No patient is on both parts, unless a class has a single patient (C-NMC's fold_1 trains on one
    healthy patient): to hold that one out would leave nobody to learn from, so the folds are of
    cells. A class of a single cell cannot be held out either: then the one fold is all cells on
    both parts, and what is learned from it is too good.
    """
    spread = np.zeros((len(labels), 1))  # only its length counts
    if groups is not None:
        for number in range(min(folds, _rarest(labels, groups)), 1, -1):
            dealer = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
            splits = list(dealer.split(spread, labels, groups))
            if _complete(splits, labels):
                return splits
    number = min(folds, int(np.unique(labels, return_counts=True)[1].min()))
    if number < 2:
        everything = np.arange(len(labels))
        return [(everything, everything)]
    return list(StratifiedKFold(number, shuffle=True, random_state=seed).split(spread, labels))


def _rarest(labels: np.ndarray, groups: np.ndarray) -> int:
    """Patients of the class that has the fewest."""
    return min(len(np.unique(groups[labels == label])) for label in np.unique(labels))


def _complete(splits: list[Split], labels: np.ndarray) -> bool:
    """Whether every class is on the training part of every fold and no part is empty."""
    classes = np.unique(labels)
    return all(
        len(held_out) and np.isin(classes, labels[training]).all() for training, held_out in splits
    )
