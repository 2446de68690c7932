"""Uncertainty that knows about patients: the cells of one patient are not independent."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from oadls.metrics import class_scores

FEW_GROUPS = 10  # below this many patients in a class a bootstrap interval is too narrow to print


def group_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    *,
    classes: Sequence[str],
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Percentile bootstrap intervals of the macro scores, resampling whole groups (patients).

    labels : (N,) int; probabilities : (N, K) float; groups : (N,) any hashable, a patient each
    returns {"level", "resamples", "groups": number, "groups_per_class", "intervals": {score:
        [low, high]}, "warning": empty, or why the intervals must not be trusted}
    Resamples in which a class does not occur are left out: no macro score exists there.
    Source: Field & Welsh 2007, "Bootstrapping clustered data" (the one-stage cluster bootstrap).
    """
    _, group = np.unique(groups, return_inverse=True)
    number = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(number, np.full(number, 1 / number), size=resamples)  # (R, G)
    confusions = np.einsum("rg,gij->rij", weights, _confusions(labels, probabilities, group))
    whole = (confusions.sum(axis=2) > 0).all(axis=1)  # (R,)
    weights, confusions = weights[whole], confusions[whole]
    columns = {name: values.mean(axis=1) for name, values in class_scores(confusions).items()}
    columns["accuracy"] = np.einsum("rii->r", confusions) / confusions.sum(axis=(1, 2))
    columns["auroc"] = np.mean(
        [
            weighted_auroc(labels == k, probabilities[:, k], weights[:, group])
            for k in range(len(classes))
        ],
        axis=0,
    )
    per_class = {name: len(np.unique(group[labels == k])) for k, name in enumerate(classes)}
    tail = (1 - level) / 2
    return {
        "level": level,
        "resamples": int(whole.sum()),
        "groups": number,
        "groups_per_class": per_class,
        "intervals": {
            name: np.quantile(values, [tail, 1 - tail]).tolist() if len(values) else None
            for name, values in columns.items()
        },
        "warning": _warning(per_class),
    }


def weighted_auroc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC under many weightings of the cells; a tie counts one half.

    positive : (N,) bool; score : (N,) float; weights : (R, N) how often each cell is drawn
    returns (R,) float64, NaN where a side has no weight
    """
    _, level = np.unique(score, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    result = np.empty(len(weights))
    rows = max(1, 20_000_000 // max(1, len(score)))  # keep a block under some 160 MB
    for first in range(0, len(weights), rows):
        block = weights[first : first + rows, order].astype(np.float64)
        up = np.add.reduceat(block * positive[order], starts, axis=1)  # (rows, levels)
        down = np.add.reduceat(block * ~positive[order], starts, axis=1)
        below = np.cumsum(down, axis=1) - down
        wins = (up * (below + 0.5 * down)).sum(axis=1)
        pairs = up.sum(axis=1) * down.sum(axis=1)
        result[first : first + rows] = np.divide(
            wins, pairs, out=np.full(len(block), np.nan), where=pairs > 0
        )
    return result


def _confusions(labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(G, K, K) counts [group][true][predicted]."""
    number = probabilities.shape[1]
    counts = np.zeros((group.max() + 1, number, number))
    np.add.at(counts, (group, labels, probabilities.argmax(axis=1)), 1)
    return counts


def _warning(per_class: dict[str, int]) -> str:
    few = {name: n for name, n in per_class.items() if n < FEW_GROUPS}
    if not few:
        return ""
    named = ", ".join(f"{n} of {name}" for name, n in few.items())
    return f"too few patients for an interval that can be trusted: {named}"
