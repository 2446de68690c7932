"""Intervals resample patients."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from oadls.metrics import scores
from oadls.statistics import group_intervals, weighted_auroc

CLASSES = ["normal", "all"]


def patients(seed: int, *, number: int, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells whose scores share an effect of their patient."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(number), cells)
    labels = group % 2
    effect = rng.normal(size=number)[group]
    score = 1 / (1 + np.exp(-(2 * labels - 1 + effect + rng.normal(size=len(group)))))
    return labels, np.stack([1 - score, score], axis=1), group


def test_weighted_auroc_equals_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    positive, score = rng.random(80) < 0.4, rng.integers(0, 12, 80) / 12
    weights = rng.integers(0, 4, (5, 80))
    expected = [roc_auc_score(positive, score, sample_weight=row) for row in weights]
    np.testing.assert_allclose(weighted_auroc(positive, score, weights), expected)


def test_intervals_hold_the_estimate_and_repeat() -> None:
    labels, probabilities, group = patients(1, number=40, cells=20)
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=300)
    estimate = scores(labels, probabilities, classes=CLASSES)
    for name, (low, high) in found["intervals"].items():
        assert low <= estimate[name] <= high
    again = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=300)
    assert again == found
    assert found["warning"] == ""


def test_patients_give_wider_intervals_than_cells() -> None:
    labels, probabilities, group = patients(2, number=40, cells=50)
    cells = np.arange(len(group))
    by_patient = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=300)
    by_cell = group_intervals(labels, probabilities, cells, classes=CLASSES, resamples=300)
    width = {
        name: np.ptp(result["intervals"]["auroc"])
        for name, result in {"patient": by_patient, "cell": by_cell}.items()
    }
    assert width["patient"] > 2 * width["cell"]


@pytest.mark.parametrize("number", [4, 14])
def test_few_patients_are_said_to_be_few(number: int) -> None:
    labels, probabilities, group = patients(3, number=number, cells=30)
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=50)
    assert "too few patients" in found["warning"]
    assert f"{number // 2} of all" in found["warning"]
