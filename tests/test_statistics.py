"""Intervals resample patients, and hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from oadls import statistics
from oadls.metrics import SCORES, scores
from oadls.statistics import group_intervals, macro_scores, proportion_interval, weighted_auroc

CLASSES = ["normal", "all"]


def patients(seed: int, *, number: int, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells whose scores share an effect of their patient."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(number), cells)
    labels = group % 2
    effect = rng.normal(size=number)[group]
    score = expit(2 * labels - 1 + effect + rng.normal(size=len(group)))
    return labels, np.stack([1 - score, score], axis=1), group


@pytest.mark.parametrize("dense", [0, 500])
def test_weighted_auroc_equals_scikit_learn_with_ties(
    dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "DENSE_GROUPS", dense)
    rng = np.random.default_rng(0)
    positive, score = rng.random(80) < 0.4, rng.integers(0, 12, 80) / 12
    group = rng.permutation(np.arange(80) % 30)
    weights = rng.integers(0, 4, (30, 5))
    expected = [roc_auc_score(positive, score, sample_weight=w[group]) for w in weights.T]
    np.testing.assert_allclose(weighted_auroc(positive, score, group)(weights), expected)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_macro_scores_of_repeated_cells_are_those_of_the_metrics(classes: int, ties: bool) -> None:
    rng = np.random.default_rng(1)
    labels, group = rng.integers(0, classes, 60), rng.integers(0, 15, 60)
    probabilities = rng.dirichlet(np.ones(classes), 60)
    if ties:
        probabilities = probabilities.round(1)
    weights = rng.integers(0, 3, (15, 4))
    found = macro_scores(labels, probabilities.argmax(axis=1), probabilities, group)(weights)
    for r, weight in enumerate(weights.T):
        rows = np.repeat(np.arange(60), weight[group])
        names = [str(k) for k in range(classes)]
        expected = scores(labels[rows], probabilities[rows], classes=names)
        np.testing.assert_allclose(found[:, r], [expected[name] for name in SCORES], atol=1e-6)


def test_aurocs_of_two_classes_that_do_not_mirror_are_both_computed() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.4], [0.8, 0.3], [0.2, 0.8]])
    found = macro_scores(labels, labels, probabilities, np.arange(4))(np.ones((4, 1)))
    assert found[SCORES.index("auroc"), 0] == pytest.approx((1 + 0.75) / 2)


def test_intervals_hold_the_estimate_and_repeat() -> None:
    labels, probabilities, group = patients(1, number=40, cells=20)
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=300)
    estimate = scores(labels, probabilities, classes=CLASSES)
    for name, (low, high) in found["intervals"].items():
        assert low < estimate[name] < high
    again = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=300)
    assert again == found
    assert found["warning"] == ""
    assert found["groups_per_class"] == {"normal": 20, "all": 20}


def test_intervals_do_not_depend_on_how_a_group_is_called_or_where_its_cells_are() -> None:
    labels, probabilities, group = patients(1, number=40, cells=5)
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=100)
    order = np.random.default_rng(0).permutation(len(labels))
    names = np.array([f"P{g:03d}" for g in group])
    moved = group_intervals(
        labels[order], probabilities[order], names[order], classes=CLASSES, resamples=100
    )
    for name in SCORES:
        np.testing.assert_allclose(moved["intervals"][name], found["intervals"][name])


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
def test_few_patients_have_no_interval_and_are_said_to_be_few(number: int) -> None:
    labels, probabilities, group = patients(3, number=number, cells=30)
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=50)
    assert found["intervals"] == dict.fromkeys(SCORES)
    assert "too few patients" in found["warning"]
    assert f"{number // 2} of all" in found["warning"]


def test_few_cells_taken_as_groups_are_not_called_patients() -> None:
    labels, probabilities, _ = patients(3, number=4, cells=2)
    found = group_intervals(
        labels, probabilities, np.arange(8), classes=CLASSES, resamples=50, unit="cells"
    )
    assert "too few cells" in found["warning"]


def test_a_perfect_score_has_no_interval_and_says_so() -> None:
    labels, _, group = patients(3, number=40, cells=3)
    probabilities = np.eye(2)[labels] * 0.8 + 0.1
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=50)
    assert found["intervals"] == dict.fromkeys(SCORES)
    assert "no interval for accuracy" in found["warning"]


def test_patients_with_cells_of_several_classes_are_resampled_whole() -> None:
    labels, probabilities, group = patients(4, number=40, cells=10)
    mixed = group // 2  # a patient of each class becomes one patient
    found = group_intervals(labels, probabilities, mixed, classes=CLASSES, resamples=200)
    assert found["groups"] == 20
    assert found["groups_per_class"] == {"normal": 20, "all": 20}
    assert found["warning"] == ""


SIMULATIONS = 800
# a true 95 % misses this band in one of 400 runs: 3 standard errors of 0.8 %
BAND = 0.95 - 3 * np.sqrt(0.95 * 0.05 / SIMULATIONS), 0.95 + 3 * np.sqrt(0.95 * 0.05 / SIMULATIONS)


@pytest.mark.parametrize(("effect", "distance"), [(0.5, 1.0), (1.0, 1.2)])
def test_intervals_of_40_patients_hold_the_truth_as_often_as_they_say(
    effect: float, distance: float
) -> None:
    truth = true_scores(effect, distance)
    held: dict[str, list[list[bool]]] = {"patients": [], "cells": []}
    for seed in range(SIMULATIONS):
        labels, probabilities, group = unequal_patients(seed, effect=effect, distance=distance)
        groups = {"patients": group, "cells": np.arange(len(group))}
        for unit in ["patients", "cells"] if seed < 100 else ["patients"]:
            found = group_intervals(
                labels, probabilities, groups[unit], classes=CLASSES, resamples=200, seed=seed
            )["intervals"]
            held[unit].append([found[n][0] <= value <= found[n][1] for n, value in truth.items()])
    for coverage in np.mean(held["patients"], axis=0):
        assert BAND[0] < coverage < BAND[1]
    assert (np.mean(held["cells"], axis=0) < 0.85).all()


def unequal_patients(
    seed: int, *, effect: float, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """20 patients of each class with 4 to 40 cells; the threshold favours normal by 0.3."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(40), rng.integers(4, 41, 40))
    labels = group % 2
    score = (2 * labels - 1) * distance + effect * rng.normal(size=40)[group]
    score = expit(score + rng.normal(size=len(group)) - 0.3)
    return labels, np.stack([1 - score, score], axis=1), group


def true_scores(effect: float, distance: float) -> dict[str, float]:
    """What infinitely many patients of unequal_patients would give."""
    spread = np.hypot(1, effect)
    right_all = norm.cdf((distance - 0.3) / spread)
    right_normal = norm.cdf((distance + 0.3) / spread)
    precisions = (
        right_all / (right_all + 1 - right_normal),
        right_normal / (right_normal + 1 - right_all),
    )
    return {
        "auroc": norm.cdf(np.sqrt(2) * distance / spread),
        "accuracy": (right_all + right_normal) / 2,
        "precision": np.mean(precisions),
    }


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_proportion_interval_equals_statsmodels(level: float) -> None:
    hits, total = np.array([0, 3, 7, 10, 250]), np.array([10, 10, 7, 1000, 300])
    low, high = proportion_interval(hits, total, level=level)
    expected = proportion_confint(hits, total, alpha=1 - level, method="beta")
    np.testing.assert_allclose(low, expected[0], atol=1e-12)
    np.testing.assert_allclose(high, expected[1], atol=1e-12)


def test_proportion_of_nothing_is_not_a_number() -> None:
    low, high = proportion_interval(np.array([0, 1]), np.array([0, 2]))
    np.testing.assert_array_equal(np.isnan(low), [True, False])
    np.testing.assert_array_equal(np.isnan(high), [True, False])
