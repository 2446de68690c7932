"""Patients are decided from their cells."""

import numpy as np
import pytest
from scipy.stats import binomtest

from oadls.patients import patient_scores, patient_table

CLASSES = ["normal", "all"]


def cells(**patients: tuple[int, list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """patient=(label, probabilities of all) to the arrays that `patient_table` takes."""
    names = [name for name, (_, values) in patients.items() for _ in values]
    labels = [label for label, values in patients.values() for _ in values]
    score = np.array([value for _, values in patients.values() for value in values])
    return np.array(names), np.array(labels), np.stack([1 - score, score], axis=1)


def table(**patients: tuple[int, list[float]]):
    return patient_table(*cells(**patients), classes=CLASSES, positive=1).set_index("patient")


def test_mean_and_majority_may_disagree() -> None:
    found = table(A=(1, [0.45, 0.45, 0.99]))
    assert found.loc["A", "by_mean"] == "all"
    assert found.loc["A", "by_majority"] == "normal"
    assert found.loc["A", "right_by_mean"]
    assert not found.loc["A", "right_by_majority"]
    assert found.loc["A", "probability"] == pytest.approx(0.63)


def test_the_fraction_of_blasts_abstains_while_its_interval_holds_one_half() -> None:
    found = table(sure=(1, [0.9] * 19 + [0.1]), unsure=(1, [0.9] * 11 + [0.1] * 9), few=(0, [0.1]))
    assert found["by_fraction"].to_dict() == {
        "sure": "all",
        "unsure": "undecided",
        "few": "undecided",
    }
    expected = binomtest(19, 20).proportion_ci(method="exact")
    assert found.loc["sure", "fraction_low"] == pytest.approx(expected.low)
    assert found.loc["sure", "fraction_high"] == pytest.approx(expected.high)


def test_wrong_patients_come_first() -> None:
    found = table(A=(1, [0.9, 0.8]), B=(1, [0.2, 0.1]), C=(0, [0.6, 0.7, 0.1]))
    assert list(found.index) == ["B", "C", "A"]
    assert list(found["right_by_mean"]) == [False, True, True]


def test_scores_count_patients_not_cells() -> None:
    arrays = cells(A=(1, [0.9] * 100), B=(1, [0.1] * 2), C=(0, [0.2]), D=(0, [0.3] * 5))
    scores = patient_scores(
        patient_table(*arrays, classes=CLASSES, positive=1), positive="all"
    ).set_index("decision")
    by_mean = scores.loc["by_mean"]
    assert (by_mean["patients"], by_mean["right"]) == (4, 3)
    assert by_mean["sensitivity"] == 0.5
    assert by_mean["specificity"] == 1
    assert scores.loc["by_fraction", "decided"] == 1  # only A has enough cells
    ends = binomtest(3, 4).proportion_ci(method="exact")
    assert (by_mean["low"], by_mean["high"]) == pytest.approx((ends.low, ends.high))


def test_a_patient_with_cells_of_two_classes_is_marked() -> None:
    names, labels, probabilities = cells(A=(1, [0.9, 0.9, 0.2]))
    labels[2] = 0
    found = patient_table(names, labels, probabilities, classes=CLASSES)
    assert found.loc[0, "mixed"]
    assert found.loc[0, "label"] == "all"
    assert "fraction" not in found


def test_many_classes_are_decided_without_a_positive_one() -> None:
    probabilities = np.array([[0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
    found = patient_table(
        np.array(["A", "A", "A"]), np.array([1, 1, 1]), probabilities, classes=["a", "b", "c"]
    )
    assert found.loc[0, "by_mean"] == found.loc[0, "by_majority"] == "b"
    decisions = patient_scores(found)
    assert list(decisions["decision"]) == ["by_mean", "by_majority"]
