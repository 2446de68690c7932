"""The one definition of every score. Nothing else computes one again.

All scores of a class are one-vs-rest; the overall scores are their unweighted (macro) mean, which
is what Table 2 of the paper calls "Overall"; accuracy is the fraction of cells that are right.
A class without a cell in the set has no recall and no AUROC there, and its precision can only be 0:
the mean is that of the others, and the class is named.
A score without a denominator (the precision of a class that is never predicted) is 0, not NaN;
an AUROC without both sides is None.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import binary_auroc, multiclass_confusion_matrix

SCORES = ("accuracy", "precision", "sensitivity", "specificity", "f1", "auroc")


def scores(
    labels: np.ndarray, probabilities: np.ndarray, *, classes: Sequence[str]
) -> dict[str, Any]:
    """Every score of a set of cells.

    labels : (N,) int, index into classes
    probabilities : (N, K) float, rows sum to 1; the predicted class is the largest
    returns accuracy, precision, sensitivity, specificity, f1, auroc, weighted_f1 (weighted by the
        number of cells of each class), per_class {class: the same six}, confusion_matrix
        [[true][predicted]], cells, and absent: the classes without a cell, which the macro means
        leave out
    """
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, number=len(classes))
    columns = class_scores(confusion)
    columns["auroc"] = _aurocs(labels, probabilities)
    per_class = {
        name: {score: _number(columns[score][k]) for score in SCORES}
        for k, name in enumerate(classes)
    }
    present = confusion.sum(axis=1)
    held = present > 0 if present.any() else np.ones(len(classes), dtype=bool)
    overall = {score: _mean(columns[score][held]) for score in SCORES}
    overall["accuracy"] = _ratio(np.trace(confusion), confusion.sum()).item()
    overall["weighted_f1"] = _ratio((columns["f1"] * present).sum(), present.sum()).item()
    return {
        **overall,
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
        "cells": int(confusion.sum()),
        "absent": [name for name, cells in zip(classes, present, strict=True) if not cells],
    }


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, *, number: int) -> np.ndarray:
    """(K, K) int64: rows are true classes, columns predicted ones."""
    return multiclass_confusion_matrix(
        torch.tensor(predicted), torch.tensor(labels), num_classes=number
    ).numpy()


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """One-vs-rest scores of each class from confusion matrices.

    confusion : (..., K, K) counts [true][predicted]; leading axes are kept (bootstrap resamples)
    returns name -> (..., K) float64
    """
    total = confusion.sum(axis=(-2, -1))[..., None]
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    false_positive = confusion.sum(axis=-2) - hit
    false_negative = confusion.sum(axis=-1) - hit
    true_negative = total - hit - false_positive - false_negative
    return {
        "accuracy": _ratio(hit + true_negative, total),
        "precision": _ratio(hit, hit + false_positive),
        "sensitivity": _ratio(hit, hit + false_negative),
        "specificity": _ratio(true_negative, true_negative + false_positive),
        "f1": _ratio(2 * hit, 2 * hit + false_positive + false_negative),
    }


def fitness(precision: float, f1: float) -> float:
    """What checkpoints and sweeps rank by (eqs 10-11): macro precision, ties by macro F1.

    Precision to four places plus the F1 below them; it survives a float32, in which Lightning logs.
    """
    return round(precision, 4) + 9e-5 * f1


def precision_of(fitness: float) -> float:
    """The macro precision in a fitness, to four places."""
    return math.floor(fitness * 1e4 + 0.01) / 1e4  # a float32 may be a little below


PERFECT = fitness(1.0, 1.0) - 1e-6  # above it, by what a float32 keeps, nothing is left to gain


def _aurocs(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    values = []
    for k in range(probabilities.shape[1]):
        positive = labels == k
        if positive.all() or not positive.any():
            values.append(np.nan)
            continue
        # float64: ties must stay ties and near-ties must not become ones
        score = torch.tensor(probabilities[:, k], dtype=torch.float64)
        values.append(binary_auroc(score, torch.as_tensor(positive).long()).item())
    return np.array(values)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
