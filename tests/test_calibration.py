"""Calibration against other libraries."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netcal.metrics import ECE
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, roc_curve
from statsmodels.stats.proportion import proportion_confint

from oadls.calibration import (
    apply_temperature,
    brier,
    expected_calibration_error,
    fit_temperature,
    reliability,
    threshold_for_sensitivity,
)


def cells(seed: int, *, number: int, classes: int, edges: bool) -> tuple[np.ndarray, np.ndarray]:
    """Random labels and probabilities; with edges, some are exactly 0, 1 or on a bin's edge."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), number)
    if edges:
        probabilities[: number // 4] = np.eye(classes)[rng.integers(0, classes, number // 4)]
        rest = probabilities[number // 4 : number // 2]
        rest[:] = 0
        rest[:, 0], rest[:, 1] = 0.7, 0.3
    return rng.integers(0, classes, number), probabilities


@pytest.mark.parametrize("bins", [10, 15])
@pytest.mark.parametrize("edges", [False, True])
def test_top_label_error_equals_netcal(edges: bool, bins: int) -> None:
    labels, probabilities = cells(0, number=400, classes=4, edges=edges)
    found = expected_calibration_error(labels, probabilities, bins=bins)
    assert found == pytest.approx(ECE(bins).measure(probabilities, labels))


@pytest.mark.parametrize("edges", [False, True])
def test_top_label_error_of_two_classes_equals_netcal_told_what_was_right(edges: bool) -> None:
    labels, probabilities = cells(1, number=400, classes=2, edges=edges)
    # netcal looks at the positive class of two: tell it of "the prediction is right" instead
    right = (probabilities.argmax(axis=1) == labels).astype(int)
    found = expected_calibration_error(labels, probabilities)
    assert found == pytest.approx(ECE(10).measure(probabilities.max(axis=1), right))


@pytest.mark.parametrize("edges", [False, True])
def test_reliability_of_the_positive_class_gives_the_error_of_netcal(edges: bool) -> None:
    labels, probabilities = cells(2, number=400, classes=2, edges=edges)
    table = reliability(labels, probabilities, positive=1)
    gap = (table["confidence"] - table["observed"]).abs()
    expected = ECE(10).measure(probabilities[:, 1], labels)
    assert np.average(gap, weights=table["cells"]) == pytest.approx(expected)


def test_certain_cells_are_in_real_bins() -> None:
    labels, probabilities = np.array([0, 1, 1]), np.array([[1, 0], [0, 1], [1, 0]], float)
    table = reliability(labels, probabilities, positive=1)
    expected = pd.DataFrame(
        {
            "low": [0.0, 0.9],
            "high": [0.1, 1.0],
            "cells": [2, 1],
            "confidence": [0.0, 1.0],
            "observed": [0.5, 1.0],
        }
    )
    pd.testing.assert_frame_equal(table[expected.columns], expected)
    low, high = proportion_confint([1, 1], [2, 1], method="beta")
    np.testing.assert_allclose(table["observed_low"], low)
    np.testing.assert_allclose(table["observed_high"], high)


def test_no_cells_have_no_error_and_no_bins() -> None:
    labels, probabilities = np.zeros(0, int), np.zeros((0, 2))
    assert np.isnan(expected_calibration_error(labels, probabilities))
    assert len(reliability(labels, probabilities, positive=None)) == 0


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_equals_scikit_learn(classes: int) -> None:
    labels, probabilities = cells(3, number=100, classes=classes, edges=True)
    expected = brier_score_loss(labels, probabilities, labels=range(classes))
    assert brier(labels, probabilities) == pytest.approx(expected)


@pytest.mark.parametrize("planted", [0.3, 1.0, 3.0])
def test_planted_temperature_is_recovered(planted: float) -> None:
    rng = np.random.default_rng(0)
    honest = softmax(rng.normal(scale=2, size=(20_000, 3)), axis=1)
    labels = (rng.random((20_000, 1)) > honest.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    heated = apply_temperature(honest, 1 / planted)
    assert fit_temperature(labels, heated) == pytest.approx(planted, rel=0.05)


def test_temperature_agrees_with_a_grid() -> None:
    labels, probabilities = cells(4, number=200, classes=3, edges=False)
    probabilities[np.arange(200), labels] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 20_000))
    logits = np.log(probabilities)
    chosen = logits[np.arange(200), labels]
    losses = [np.log(np.exp(logits / t).sum(axis=1)).mean() - chosen.mean() / t for t in grid]
    assert fit_temperature(labels, probabilities) == pytest.approx(
        grid[np.argmin(losses)], rel=1e-3
    )


@pytest.mark.parametrize("labels", [[], [1, 1, 1]])
def test_nothing_to_fit_leaves_the_probabilities(labels: list[int]) -> None:
    found = fit_temperature(np.array(labels, int), np.full((len(labels), 2), 0.5))
    assert found == 1.0


def test_one_certain_mistake_leaves_a_temperature_in_bounds() -> None:
    labels, probabilities = cells(5, number=50, classes=2, edges=True)
    assert 0.05 <= fit_temperature(labels, probabilities) <= 20


def test_a_model_without_a_mistake_is_left_as_it_is() -> None:
    labels = np.array([0, 1, 0, 1])
    assert fit_temperature(labels, np.eye(2)[labels] * 0.6 + 0.2) == 1.0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.05, 20), classes=st.integers(2, 5))
def test_temperature_never_changes_the_predicted_class(
    seed: int, temperature: float, classes: int
) -> None:
    _, probabilities = cells(seed, number=20, classes=classes, edges=True)
    warmed = apply_temperature(probabilities.astype(np.float32), temperature)
    np.testing.assert_array_equal(warmed.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(warmed.sum(axis=1), 1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), wanted=st.floats(0.01, 1))
def test_threshold_equals_that_of_the_roc_curve(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    positive = np.append(rng.random(40) < 0.5, [True, False])
    score = rng.integers(0, 15, 42) / 15
    _, sensitivity, thresholds = roc_curve(positive, score, drop_intermediate=False)
    found = threshold_for_sensitivity(positive, score, wanted=wanted)
    assert found == thresholds[np.flatnonzero(sensitivity >= wanted)[0]]


def test_threshold_refuses_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="needs positive cells"):
        threshold_for_sensitivity(np.zeros(3, bool), np.ones(3), wanted=0.9)
    with pytest.raises(ValueError, match="it is 90"):
        threshold_for_sensitivity(np.ones(3, bool), np.ones(3), wanted=90)
