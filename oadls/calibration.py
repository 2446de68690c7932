"""Does a probability mean what it says? And the threshold and temperature that validation picks."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from oadls.statistics import proportion_interval

COLDEST, HOTTEST = 0.05, 20.0  # a temperature outside says that the probabilities are useless


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, *, bins: int = 10
) -> float:
    """Mean gap between confidence and accuracy of the predicted class (Naeini et al. 2015).

    labels : (N,) int; probabilities : (N, K) float
    returns a float in [0, 1]: the gap of each of the equal-width bins, weighted by its cells; NaN
        without cells
    """
    table = reliability(labels, probabilities, positive=None, bins=bins)
    if not len(table):
        return float("nan")
    gap = (table["confidence"] - table["observed"]).abs()
    return float(np.average(gap, weights=table["cells"]))


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, *, positive: int | None, bins: int = 10
) -> pd.DataFrame:
    """What a reliability diagram shows: confidence against what was observed, bin by bin.

    labels : (N,) int; probabilities : (N, K) float
    positive : the class whose probability is looked at; the predicted class of each cell when None
    returns columns low, high (of the bin), cells, confidence (mean), observed (fraction),
        observed_low, observed_high (Clopper-Pearson 95 %, cells taken for independent); no row for
        an empty bin. A bin holds its lower edge; the last one holds 1 as well.
    """
    predicted = probabilities.argmax(axis=1) if positive is None else np.full(len(labels), positive)
    confidence = np.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0]
    edges = np.linspace(0, 1, bins + 1)
    table = pd.DataFrame(
        {
            # searched, not multiplied: 0.3 * 10 and the edge 0.3 do not round alike
            "bin": (np.searchsorted(edges, confidence, "right") - 1).clip(0, bins - 1),
            "confidence": confidence.astype(np.float64),
            "observed": (labels == predicted).astype(np.float64),
        }
    )
    grouped = table.groupby("bin")
    result = grouped.mean()
    result.insert(0, "low", edges[result.index])
    result.insert(1, "high", edges[result.index + 1])
    result.insert(2, "cells", grouped.size())
    hits, total = grouped["observed"].sum().to_numpy(), grouped.size().to_numpy()
    result["observed_low"], result["observed_high"] = proportion_interval(hits, total)
    return result.reset_index(drop=True)


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared error of the probabilities (Brier 1950), as scikit-learn scales it.

    labels : (N,) int; probabilities : (N, K) float
    returns the sum over classes, in [0, 2]; half of it for two classes, in [0, 1], which is the
        squared error of the positive class
    """
    actual = np.eye(probabilities.shape[1])[labels]  # (N, K)
    total = float(((probabilities - actual) ** 2).sum(axis=1).mean())
    return total / 2 if probabilities.shape[1] == 2 else total


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature that makes probabilities likeliest (Guo et al. 2017), from validation cells.

    labels : (N,) int; probabilities : (N, K) float
    returns a float in [0.05, 20], above 1 for an over-confident model; 1.0 when there is nothing to
        fit: no cells, cells of one class, or no mistake, which only ever ask for more confidence
    """
    logits = _logits(probabilities)
    if len(np.unique(labels)) < 2 or (logits.argmax(axis=1) == labels).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    bounds = np.log([COLDEST, HOTTEST])
    found: Any = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T): (N, K) float to (N, K) float64; the predicted class stays."""
    return softmax(_logits(probabilities) / temperature, axis=1)


def threshold_for_sensitivity(positive: np.ndarray, score: np.ndarray, *, wanted: float) -> float:
    """The largest threshold at which enough positive cells have score >= threshold.

    positive : (N,) bool; score : (N,) float, of validation cells; wanted : sensitivity in (0, 1]
    raises ValueError without positive cells, or for another `wanted`
    """
    found = np.sort(score[positive])[::-1]
    if not len(found):
        raise ValueError("threshold: a sensitivity needs positive cells, there are none")
    if not 0 < wanted <= 1:
        raise ValueError(f"threshold: the wanted sensitivity must be in (0, 1], it is {wanted}")
    reached = np.arange(1, len(found) + 1) / len(found)  # by the k highest positive cells
    return float(found[np.flatnonzero(reached >= wanted)[0]])


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """log p, (N, K) float64; a probability of 0 counts as the smallest float.

    One confident mistake would otherwise make every temperature infinitely unlikely.
    """
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny))
