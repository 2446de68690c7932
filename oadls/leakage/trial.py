"""One question asked of every model: its out-of-fold scores on the same cells and folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oadls.baselines.floors import Candidates, predict_test
from oadls.metrics import scores
from oadls.statistics import group_intervals

SCORES = ("accuracy", "weighted_f1", "precision", "auroc")


@dataclass(frozen=True)
class Trial:
    """Cells, their classes and folds.

    labels : (N,) int, index into classes, -1 where unknown
    groups : (N,) patients, or images where none are known
    sides : of each fit, (N,) "train", "val", "test" or ""
    """

    labels: np.ndarray
    groups: np.ndarray
    classes: Sequence[str]
    sides: Sequence[np.ndarray]

    def predict(self, candidates: Candidates, inputs: np.ndarray) -> np.ndarray:
        """(N, K) mean over the fits that tested a cell, NaN for cells that none did.

        inputs : (N, D)
        """
        total = np.zeros((len(inputs), len(self.classes)))
        tested = np.zeros((len(inputs), 1))
        for side in self.sides:
            test = side == "test"
            total[test] += predict_test(candidates, inputs, self.labels, side, classes=self.classes)
            tested[test] += 1
        return np.divide(total, tested, out=np.full_like(total, np.nan), where=tested > 0)

    def score(self, probabilities: np.ndarray) -> dict[str, Any]:
        """cells, SCORES, and under "intervals" their [low, high] over groups, None where too few.

        probabilities : (N, K); cells with NaN do not count
        """
        known = ~np.isnan(probabilities[:, 0])
        labels, probabilities = self.labels[known], probabilities[known]
        found = scores(labels, probabilities, classes=self.classes)
        spread = group_intervals(labels, probabilities, self.groups[known], classes=self.classes)
        return {
            "cells": found["cells"],
            **{name: found[name] for name in SCORES},
            "intervals": {name: spread["intervals"].get(name) for name in SCORES},
        }


def row_of(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """A row of a table: model, cells, each score with its _low and _high."""
    row: dict[str, Any] = {"model": name, "cells": found["cells"]}
    for score in SCORES:
        low, high = found["intervals"][score] or (None, None)
        row |= {score: found[score], f"{score}_low": low, f"{score}_high": high}
    return row
