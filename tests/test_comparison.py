"""Patients are exchanged between models, not cells."""

import json

import numpy as np
import pytest
from scipy.special import expit
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from oadls.comparison import compare_paired, delong, mcnemar
from oadls.metrics import SCORES, scores
from tests.oracles.delong import delong_oracle
from tests.oracles.swaps import swap_oracle

CLASSES = ["normal", "all"]
Models = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def two_models(seed: int, *, number: int = 40, better: float = 0.0, shift: float = 0.0) -> Models:
    """Labels, probabilities of two models that each err by patient, and the patients.

    better : by how much the first separates more; shift : of the second's logits
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(number), rng.integers(4, 41, number))
    labels = group % 2
    shared = rng.normal(size=number)[group] + rng.normal(size=len(group))
    found = []
    for distance, bias in [(1.2 + better, 0.0), (1.2, shift)]:
        own = rng.normal(size=number)[group] + rng.normal(size=len(group))
        score = expit((2 * labels - 1) * distance + 0.7 * (shared + own) + bias)
        found.append(np.stack([1 - score, score], axis=1))
    return labels, *found, group


def test_difference_is_that_of_the_scores_and_the_answer_is_plain_data() -> None:
    labels, first, second, group = two_models(0, better=1.0)
    found = compare_paired(
        labels, first, second, group, classes=CLASSES, resamples=200, permutations=200
    )
    ours, theirs = (scores(labels, model, classes=CLASSES) for model in (first, second))
    for name in SCORES:
        row = found["difference"][name]
        assert row["value"] == pytest.approx(ours[name] - theirs[name], abs=1e-6)
        assert row["interval"][0] < row["value"] < row["interval"][1]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    again = compare_paired(
        labels, first, second, group, classes=CLASSES, resamples=200, permutations=200
    )
    assert again == found


def test_planted_difference_is_found_and_changes_sign_with_the_order() -> None:
    labels, first, second, group = two_models(0, better=1.5)
    settings = {"classes": CLASSES, "resamples": 200, "permutations": 500}
    found = compare_paired(labels, first, second, group, **settings)["difference"]
    back = compare_paired(labels, second, first, group, **settings)["difference"]
    for name in ("accuracy", "precision", "f1", "auroc"):
        assert found[name]["p"] < 0.01
        assert found[name]["interval"][0] > 0
        assert back[name]["value"] == pytest.approx(-found[name]["value"])
        assert back[name]["p"] == found[name]["p"]


def test_a_model_does_not_differ_from_itself() -> None:
    labels, first, _, group = two_models(0)
    found = compare_paired(
        labels, first, first, group, classes=CLASSES, resamples=50, permutations=50
    )
    for row in found["difference"].values():
        assert row == {"value": 0, "interval": None, "p": 1}
    assert found["mcnemar"] == {"p": 1.0, "only_first": 0, "only_second": 0}
    assert found["delong"] == {"p": 1.0, "difference": 0.0}


@pytest.mark.parametrize("classes", [2, 3])
def test_four_patients_equal_every_exchange_enumerated(classes: int) -> None:
    rng = np.random.default_rng(5)
    labels, group = rng.integers(0, classes, 48), np.repeat(np.arange(4), 12)
    first, second = rng.dirichlet(np.ones(classes), (2, 48))
    first[np.arange(48), labels] += 0.4
    first /= first.sum(axis=1, keepdims=True)
    names = [str(k) for k in range(classes)]
    found = compare_paired(labels, first, second, group, classes=names)
    assert found["exact"]
    assert "too few patients" in found["warning"]
    assert all(row["interval"] is None for row in found["difference"].values())
    p = [found["difference"][name]["p"] for name in SCORES]
    np.testing.assert_allclose(p, swap_oracle(labels, first, second, group))


def test_sampled_exchanges_approach_all_of_them() -> None:
    labels, first, second, group = two_models(3, number=10, better=0.5)
    every = compare_paired(labels, first, second, group, classes=CLASSES, permutations=1024)
    some = compare_paired(labels, first, second, group, classes=CLASSES, permutations=1023)
    assert every["exact"]
    assert not some["exact"]
    for name in SCORES:  # 3 standard errors of a fraction of 1023
        assert some["difference"][name]["p"] == pytest.approx(
            every["difference"][name]["p"], abs=0.05
        )


def test_groups_of_one_cell_agree_whether_counted_by_table_or_sorted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, first, second, _ = two_models(2)
    settings = {"classes": CLASSES, "resamples": 20, "permutations": 20}
    cells = np.arange(len(labels))
    sorted_cells = compare_paired(labels, first, second, cells, **settings)
    monkeypatch.setattr("oadls.statistics.DENSE_GROUPS", 10_000)
    table = compare_paired(labels, first, second, cells, **settings)
    for name in SCORES:
        ours, theirs = sorted_cells["difference"][name], table["difference"][name]
        assert ours["p"] == theirs["p"]
        assert ours["interval"] == pytest.approx(theirs["interval"])


def test_patients_keep_the_level_that_mcnemar_and_delong_lose() -> None:
    number = 300
    rejected = np.array([significant(*two_models(seed), seed=seed) for seed in range(number)])
    by_patient, by_cell = rejected[:, :3].mean(axis=0), rejected[:, 3:].mean(axis=0)
    above = 0.05 + 3 * np.sqrt(0.05 * 0.95 / number)  # 3 standard errors
    assert (by_patient < above).all()
    assert (by_patient > 0.01).all()
    assert (by_cell > 0.25).all()


def significant(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, group: np.ndarray, *, seed: int
) -> list[bool]:
    """Whether accuracy, precision, AUROC, McNemar, DeLong differ at 5 %."""
    found = compare_paired(
        labels, first, second, group, classes=CLASSES, resamples=2, permutations=199, seed=seed
    )
    by_patient = [found["difference"][name]["p"] for name in ("accuracy", "precision", "auroc")]
    return [p <= 0.05 for p in (*by_patient, found["mcnemar"]["p"], found["delong"]["p"])]


def test_a_shifted_model_is_not_worse_by_auroc_nor_hides_that_it_is() -> None:
    labels, first, second, group = two_models(0, better=1.5, shift=3.0)
    found = compare_paired(
        labels, first, second, group, classes=CLASSES, resamples=50, permutations=500
    )
    assert found["difference"]["auroc"]["p"] < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_mcnemar_equals_statsmodels(seed: int) -> None:
    first, second = np.random.default_rng(seed).random((2, 60)) < [[0.8], [0.6]]
    table = [[(a & b).sum() for b in (second, ~second)] for a in (first, ~first)]
    found = mcnemar(first, second)
    assert found["p"] == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
    assert (found["only_first"], found["only_second"]) == (table[0][1], table[1][0])


@pytest.mark.parametrize("ties", [False, True])
def test_delong_equals_its_structural_components(ties: bool) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(50) < 0.4
    first, second = rng.normal(size=(2, 50)) + positive * np.array([[1.0], [0.5]])
    if ties:
        first, second = first.round(), second.round()
    found = delong(positive, first, second)
    assert found is not None
    difference, p = delong_oracle(positive, first, second)
    assert found["difference"] == pytest.approx(difference)
    assert found["p"] == pytest.approx(p)


def test_one_class_has_no_auroc_to_compare() -> None:
    _, first, second, group = two_models(0, number=12)
    found = compare_paired(
        np.zeros(len(group), int), first, second, group, classes=CLASSES, permutations=20
    )
    assert found["difference"]["auroc"] == {"value": None, "interval": None, "p": None}
    assert found["delong"] is None
