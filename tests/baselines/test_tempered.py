import numpy as np
import pytest
from scipy.special import expit, log_expit
from sklearn.datasets import make_classification
from sklearn.svm import SVC

from oadls.baselines.tempered import Tempered, fit_temperature
from oadls.errors import UserError


def cells(*, classes=2, number=300, seed=0, **settings):
    return make_classification(
        number, 6, n_informative=4, n_classes=classes, flip_y=0.1, random_state=seed, **settings
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_largest_decision_keeps_the_largest_probability(classes):
    X, y = cells(classes=classes, weights=[0.7] + [0.3 / (classes - 1)] * (classes - 1))
    machine = SVC(class_weight="balanced", break_ties=True)
    model = Tempered(machine).fit(X[:200], y[:200])
    probabilities = model.predict_proba(X[200:])
    assert probabilities.shape == (100, classes)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    bare = machine.fit(X[:200], y[:200]).predict(X[200:])
    assert np.array_equal(model.classes_[probabilities.argmax(axis=1)], bare)
    assert np.array_equal(model.predict(X[200:]), bare)


def test_probabilities_are_about_as_often_right_as_they_say():
    X, y = cells(number=1200)
    model = Tempered(SVC()).fit(X[:600], y[:600])
    probabilities = model.predict_proba(X[600:])
    confidence = probabilities.max(axis=1).mean()
    assert confidence == pytest.approx((probabilities.argmax(axis=1) == y[600:]).mean(), abs=0.04)


def test_the_temperature_is_the_best_on_a_fine_grid():
    rng = np.random.default_rng(0)
    decision = rng.normal(0, 1, 400)
    truth = (rng.random(400) < expit(decision / 0.4)).astype(int)
    found = fit_temperature(np.stack([np.zeros(400), decision], axis=1), truth)
    ones = truth.sum()
    # Platt's targets: (n₁ + 1) / (n₁ + 2) for a yes, 1 / (n₀ + 2) for a no
    target = np.where(truth == 1, (ones + 1) / (ones + 2), 1 / (400 - ones + 2))
    grid = np.exp(np.linspace(-4, 4, 4001))
    yes, no = log_expit(decision / grid[:, None]), log_expit(-decision / grid[:, None])
    loss = -(target * yes + (1 - target) * no).sum(axis=1)
    assert found == pytest.approx(grid[loss.argmin()], rel=0.005)
    assert found == pytest.approx(0.4, rel=0.25)


def test_classes_that_are_apart_do_not_get_a_probability_of_exactly_one():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-5, 0.5, (40, 2)), rng.normal(5, 0.5, (40, 2))])
    model = Tempered(SVC()).fit(X, np.repeat([0, 1], 40))
    probabilities = model.predict_proba(X)
    assert 0.9 < probabilities.max() < 1 - 1e-6


@pytest.mark.parametrize("few", [1, 3])
def test_a_class_of_a_few_cells_and_gaps_in_the_numbers_of_classes_are_no_obstacle(few):
    X, y = cells(number=120)
    keep = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:few]])
    model = Tempered(SVC(class_weight="balanced")).fit(X[keep], 4 * y[keep] + 1)
    assert model.classes_.tolist() == [1, 5]
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_single_class_is_refused():
    with pytest.raises(UserError, match=r"needs two classes, got \[3\]"):
        Tempered(SVC()).fit(np.zeros((4, 2)), np.full(4, 3))
