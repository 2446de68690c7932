import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from oadls.data.deal import deal

# cells of the patients of C-NMC's fold_1: ALL, then healthy
ALL = [53, 84, 97, 201, 212, 181, 352, 145, 146, 190, 757]
HEALTHY = [400, 385, 373]
FOLD_1 = np.array([(n, 0) for n in ALL] + [(0, n) for n in HEALTHY])


def loads(counts, side, sides):
    return np.array([counts[side == s].sum(axis=0) for s in range(sides)]) / counts.sum(axis=0)


def test_three_folds_of_c_nmc_have_a_third_of_each_class():
    side = deal(FOLD_1, [1, 1, 1], rng=np.random.default_rng(0))
    assert np.abs(loads(FOLD_1, side, 3) - 1 / 3).max() < 0.02
    assert sorted(side[len(ALL) :]) == [0, 1, 2]


def test_folds_are_as_even_as_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    for folds in (3, 5):
        counts = rng.integers(1, 400, (60, 1)) * np.eye(2, dtype=int)[rng.integers(0, 2, 60)]
        group = np.repeat(np.arange(60), counts.sum(axis=1))
        label = np.repeat(counts.argmax(axis=1), counts.sum(axis=1))
        theirs = np.empty(60, dtype=int)
        for fold, (_, test) in enumerate(StratifiedGroupKFold(folds).split(label, label, group)):
            theirs[group[test]] = fold
        ours = deal(counts, [1] * folds, rng=rng)
        worst = [np.abs(loads(counts, side, folds) - 1 / folds).max() for side in (ours, theirs)]
        assert worst[0] <= worst[1] + 0.005


def test_unequal_shares_are_met_and_every_side_has_every_class():
    side = deal(FOLD_1, [0.65, 0.2, 0.15], rng=np.random.default_rng(0))
    load = loads(FOLD_1, side, 3)
    assert np.abs(load[:, 0] - [0.65, 0.2, 0.15]).max() < 0.03
    assert (load[:, 1] > 0.3).all()


def test_a_patient_with_a_handful_of_cells_is_not_a_side_of_its_own():
    counts = np.array([(0, 400), (0, 380), (0, 3), (500, 0), (500, 0)])
    load = loads(counts, deal(counts, [0.8, 0.2], rng=np.random.default_rng(0)), 2)
    assert load[1, 1] > 0.4


def test_scarce_groups_go_to_the_first_sides():
    counts = np.array([(5, 0), (5, 0), (5, 0), (0, 5), (0, 5)])
    side = deal(counts, [0.6, 0.2, 0.2], rng=np.random.default_rng(0))
    assert sorted(side[3:]) == [0, 1]


@given(
    counts=st.lists(st.tuples(*[st.integers(0, 50)] * 3).filter(any), min_size=1, max_size=30).map(
        np.array
    ),
    shares=st.lists(st.floats(0.05, 1), min_size=1, max_size=5),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_every_group_gets_one_side(counts, shares, seed):
    side = deal(counts, shares, rng=np.random.default_rng(seed))
    assert side.shape == (len(counts),)
    assert ((side >= 0) & (side < len(shares))).all()
    again = deal(counts, shares, rng=np.random.default_rng(seed))
    assert (side == again).all()


@pytest.mark.parametrize("sides", [2, 3, 5])
def test_single_cells_are_dealt_to_the_exact_share(sides):
    counts = np.eye(2, dtype=int)[np.arange(200) % 2]
    side = deal(counts, [1] * sides, rng=np.random.default_rng(0))
    assert np.abs(loads(counts, side, sides) - 1 / sides).max() <= 1 / 100
