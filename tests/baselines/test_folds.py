import numpy as np

from oadls.baselines.folds import inner_folds


def patients(*, cells, each):
    """Labels and patients: class k has so many patients with so many cells each."""
    labels = np.repeat(np.arange(len(cells)), [n * each for n in cells])
    return labels, np.repeat(np.arange(sum(cells)), each)


def holds_every_cell_out_once(splits, labels):
    return np.array_equal(
        np.sort(np.concatenate([out for _, out in splits])), np.arange(len(labels))
    )


def test_no_patient_is_on_both_parts_and_every_class_is_learned():
    labels, groups = patients(cells=(5, 4, 3), each=6)
    splits = inner_folds(labels, groups=groups, folds=3, seed=0)
    assert len(splits) == 3
    assert holds_every_cell_out_once(splits, labels)
    for training, out in splits:
        assert not set(groups[training]) & set(groups[out])
        assert set(labels[training]) == {0, 1, 2}


def test_a_class_of_two_patients_makes_two_folds():
    labels, groups = patients(cells=(9, 2), each=4)
    splits = inner_folds(labels, groups=groups, folds=5, seed=0)
    assert len(splits) == 2
    assert all(len(set(groups[out][labels[out] == 1])) == 1 for _, out in splits)


def test_a_class_of_one_patient_is_split_by_cells():
    labels, groups = patients(cells=(6, 1), each=5)
    splits = inner_folds(labels, groups=groups, folds=3, seed=0)
    assert len(splits) == 3
    assert holds_every_cell_out_once(splits, labels)
    for training, out in splits:
        assert set(labels[training]) == set(labels[out]) == {0, 1}


def test_a_class_of_three_cells_makes_three_folds_and_one_of_a_single_cell_none():
    three = np.array([0] * 30 + [1] * 3)
    assert [np.bincount(three[out])[1] for _, out in inner_folds(three, folds=5, seed=0)] == [1] * 3
    single = np.array([0] * 30 + [1])
    ((training, out),) = inner_folds(single, folds=5, seed=0)
    assert len(training) == len(out) == 31


def test_the_seed_deals_the_folds():
    labels, groups = patients(cells=(8, 8), each=3)
    first, again, other = (
        np.concatenate([out for _, out in inner_folds(labels, groups=groups, folds=4, seed=seed)])
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
