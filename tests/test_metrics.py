"""Every score agrees with scikit-learn, and no edge case is a NaN."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from oadls.metrics import SCORES, fitness, precision_of, scores
from oadls.statistics import macro_scores


def random_case(seed: int, cells: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(number), rng.integers(0, number, cells)])
    logits = rng.normal(size=(len(labels), number)) + np.eye(number)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 5))
def test_scores_agree_with_scikit_learn(seed: int, cells: int, number: int) -> None:
    labels, probabilities = random_case(seed, cells, number)
    classes = [f"class {k}" for k in range(number)]
    found = scores(labels, probabilities, classes=classes)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found["precision"] == pytest.approx(precision)
    assert found["sensitivity"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(f1)
    assert found["weighted_f1"] == pytest.approx(
        reference.f1_score(labels, predicted, average="weighted", zero_division=0)
    )
    assert found["confusion_matrix"] == reference.confusion_matrix(labels, predicted).tolist()
    one_vs_rest = [reference.roc_auc_score(labels == k, probabilities[:, k]) for k in range(number)]
    assert found["auroc"] == pytest.approx(np.mean(one_vs_rest), abs=1e-6)
    for k, name in enumerate(classes):
        rest = reference.recall_score(labels != k, predicted != k, zero_division=0)
        assert found["per_class"][name]["specificity"] == pytest.approx(rest)


def test_a_class_never_predicted_has_precision_zero() -> None:
    found = scores(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), classes=["normal", "all"])
    assert found["per_class"]["all"]["precision"] == 0
    assert found["precision"] == 0.25


def test_one_class_alone_has_no_auroc_and_stays_json() -> None:
    found = scores(np.array([1, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), classes=["normal", "all"])
    assert found["auroc"] is None
    assert "NaN" not in json.dumps(found, allow_nan=False)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.data())
def test_a_class_without_a_cell_is_left_out_of_the_means(
    seed: int, number: int, data: st.DataObject
) -> None:
    """Against scikit-learn's means over the labels that are there, and over groups alike."""
    labels, probabilities = random_case(seed, 30, number)
    gone = data.draw(st.sets(st.sampled_from(range(number)), min_size=1, max_size=number - 1))
    kept = ~np.isin(labels, list(gone))
    labels, probabilities = labels[kept], probabilities[kept]
    found = scores(labels, probabilities, classes=[str(k) for k in range(number)])
    present = np.unique(labels)
    assert found["absent"] == [str(k) for k in sorted(gone)]
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, labels=present, average="macro", zero_division=0
    )
    assert found["precision"] == pytest.approx(precision)
    assert found["sensitivity"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(f1)
    resampled = macro_scores(labels, predicted, probabilities, np.arange(len(labels)))
    estimate = dict(zip(SCORES, resampled(np.ones((len(labels), 1)))[:, 0], strict=True))
    for name in SCORES[:5]:
        assert estimate[name] == pytest.approx(found[name])


def test_fitness_ranks_by_precision_and_breaks_ties_by_f1_in_float32() -> None:
    better_precision, better_f1 = fitness(0.9002, 0.1), fitness(0.9001, 0.99)
    assert np.float32(better_precision) > np.float32(better_f1)
    assert np.float32(fitness(0.9, 0.502)) > np.float32(fitness(0.9, 0.5))


@pytest.mark.parametrize("f1", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("precision", [0.0, 0.25, 0.9643, 0.9815, 1.0])
def test_a_fitness_gives_its_precision_back(precision: float, f1: float) -> None:
    assert precision_of(float(np.float32(fitness(precision, f1)))) == precision
