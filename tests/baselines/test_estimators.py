import functools
import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from oadls.baselines.energy import cell_energy
from oadls.baselines.estimators import gao_svm, logistic, rbf_svm, selected_svm
from oadls.baselines.gao_svm import draw_cells
from oadls.baselines.keep import read_estimator, write_estimator
from oadls.baselines.shape import shape_and_texture
from oadls.errors import UserError
from tests.baselines.cells import drawn_cells

ESTIMATORS = {
    "rbf_svm": rbf_svm,
    "selected_svm": functools.partial(selected_svm, keep=12, trees=30),
    "gao_svm": functools.partial(gao_svm, population=2, generations=2),
    "logistic": functools.partial(logistic, C=0.1),
}


@pytest.fixture(scope="module")
def cells():
    """Features (N, D) of drawn cells of two kinds, labels (N,), patients (N,)."""
    pictures, labels, patients = drawn_cells()
    rows = [[*cell_energy(*p).values(), *shape_and_texture(*p).values()] for p in pictures]
    return np.array(rows), labels, patients


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_tells_cells_of_unseen_patients_apart_and_the_seed_repeats_it(name, cells):
    X, y, patients = cells
    known = patients < 6
    model = ESTIMATORS[name](seed=3).fit(X[known], y[known])
    probabilities = model.predict_proba(X[~known])
    assert model.classes_.tolist() == [0, 1]
    assert probabilities.shape == (16, 2)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert balanced_accuracy_score(y[~known], probabilities.argmax(axis=1)) > 0.7
    again = ESTIMATORS[name](seed=3).fit(X[known], y[known])
    assert np.array_equal(again.predict_proba(X[~known]), probabilities)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_can_be_kept_in_a_file_cloned_and_fitted_on_three_cells_of_a_class(
    name, cells, tmp_path, monkeypatch
):
    X, y, _ = cells
    few = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:3]])
    model = clone(ESTIMATORS[name](seed=0)).fit(X[few], y[few])
    write_estimator(model, tmp_path / "model.skops")
    monkeypatch.setattr("oadls.baselines.keep._written", set())  # as another process would
    kept = read_estimator(tmp_path / "model.skops")
    assert np.array_equal(kept.predict_proba(X), model.predict_proba(X))


def test_rbf_svm_decides_as_scikit_learns_own(cells):
    X, y, _ = cells
    own = make_pipeline(StandardScaler(), SVC(C=2, gamma=0.01, class_weight="balanced")).fit(X, y)
    model = rbf_svm(C=2, gamma=0.01, seed=0).fit(X, y)
    assert np.array_equal(model.predict_proba(X).argmax(axis=1), own.predict(X))


def test_the_selection_keeps_the_features_that_a_forest_finds_important(cells):
    X, y, _ = cells
    noisy = np.concatenate([np.random.default_rng(0).normal(size=(len(X), 50)), X], axis=1)
    model = selected_svm(keep=10, trees=50, seed=1).fit(noisy, y)
    kept = model.estimator_["select"].get_support()
    forest = RandomForestClassifier(50, class_weight="balanced", random_state=1)
    importance = forest.fit(StandardScaler().fit_transform(noisy), y).feature_importances_
    assert set(np.flatnonzero(kept)) == set(importance.argsort()[-10:])
    assert kept[50:].sum() >= 9  # not the noise


def test_more_features_to_keep_than_there_are_keeps_all(cells):
    X, y, _ = cells
    model = selected_svm(keep=1000, trees=10, seed=0).fit(X[:, :7], y)
    assert model.estimator_["select"].get_support().all()


def test_gao_svm_reports_the_fitness_that_cross_validation_by_patient_gives(cells):
    X, y, patients = cells
    model = gao_svm(population=2, generations=2, folds=3, seed=0).fit(X, y, patients)
    assert 2**-5 <= model.C_ <= 2**15
    assert 2**-15 <= model.gamma_ <= 2**3
    machine = SVC(C=model.C_, gamma=model.gamma_, class_weight="balanced")
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    chain = make_pipeline(StandardScaler(), machine)
    predicted = cross_val_predict(chain, X, y, groups=patients, cv=folds)
    precision = precision_score(y, predicted, average="macro")
    expected = round(precision, 4) + 9e-5 * f1_score(y, predicted, average="macro")
    assert model.fitness_ == pytest.approx(expected, abs=1e-9)
    assert model.history_ == sorted(model.history_)
    assert model.history_[-1] == model.fitness_


def test_only_gao_svm_takes_patients():
    takes = {
        name: "groups" in inspect.signature(make(seed=0).fit).parameters
        for name, make in ESTIMATORS.items()
    }
    assert takes == {"rbf_svm": False, "selected_svm": False, "gao_svm": True, "logistic": False}


def test_the_search_looks_at_a_fair_share_of_the_cells():
    codes = np.array([0] * 900 + [1] * 90 + [2] * 10)
    drawn = draw_cells(codes, at_most=100, seed=0)
    assert np.bincount(codes[drawn]).tolist() == [90, 20, 10]
    assert len(set(drawn)) == len(drawn)
    assert np.array_equal(drawn, draw_cells(codes, at_most=100, seed=0))
    assert not np.array_equal(drawn, draw_cells(codes, at_most=100, seed=1))
    assert np.array_equal(draw_cells(codes, at_most=1000, seed=0), np.arange(1000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rbf_svm(C=0, seed=0), "rbf_svm: C must be above 0, got 0"),
        (lambda: selected_svm(keep=0, seed=0), "selected_svm: keep must be above 0, got 0"),
        (lambda: logistic(C=-1, seed=0), "logistic: C must be above 0, got -1"),
        (lambda: gao_svm(population=0, seed=0), "gao_svm: population must be above 0, got 0"),
        (lambda: gao_svm(folds=1, seed=0), "gao_svm: folds must be at least 2, got 1"),
    ],
)
def test_settings_that_make_no_classifier_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_gao_svm_wants_two_classes():
    with pytest.raises(UserError, match="two classes to tell apart"):
        gao_svm(seed=0).fit(np.zeros((5, 2)), np.zeros(5, int))
