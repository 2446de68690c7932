"""Sets hold the true class as often as asked."""

import warnings

import numpy as np
import pytest

from oadls.conformal import prediction_sets
from tests.oracles.conformal import sets_oracle


def cells(seed: int, number: int, *, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities that then claim too much."""
    rng = np.random.default_rng(seed)
    honest = rng.dirichlet(np.ones(classes), number)
    labels = (rng.random((number, 1)) > honest.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    claimed = honest**3
    return labels, claimed / claimed.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize(("number", "classes"), [(20, 2), (57, 3), (300, 4)])
def test_sets_equal_the_textbook_quantile(number: int, classes: int, coverage: float) -> None:
    labels, probabilities = cells(0, number, classes=classes)
    _, new = cells(1, 100, classes=classes)
    found = prediction_sets(labels, probabilities, new, coverage=coverage)
    assert found.dtype == bool
    expected = sets_oracle(labels, probabilities, new, coverage=coverage)
    np.testing.assert_array_equal(found, expected)


def test_sets_hold_the_true_class_as_often_as_asked() -> None:
    held = []
    for seed in range(200):
        labels, probabilities = cells(seed, 240)
        sets = prediction_sets(labels[:40], probabilities[:40], probabilities[40:], coverage=0.9)
        held.append(sets[np.arange(200), labels[40:]].mean())
    # 37 of 41 is what 40 cells give on average; 3 standard errors of the 200 runs
    assert np.mean(held) == pytest.approx(37 / 41, abs=3 * np.std(held) / np.sqrt(200))


@pytest.mark.parametrize(("number", "coverage"), [(0, 0.9), (9, 0.9), (19, 0.95)])
def test_too_few_cells_rule_nothing_out(number: int, coverage: float) -> None:
    labels, probabilities = cells(0, number)
    _, new = cells(1, 5)
    assert prediction_sets(labels, probabilities, new, coverage=coverage).all()


def test_a_class_without_validation_cells_is_no_cause_for_alarm() -> None:
    labels, probabilities = cells(0, 60)
    kept = labels != 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = prediction_sets(labels[kept], probabilities[kept].astype(np.float32), probabilities)
    assert found.shape == (60, 3)
