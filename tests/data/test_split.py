import logging
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oadls.data.split import (
    Split,
    check_split,
    find_leaks,
    grouped_holdout,
    grouped_kfold,
    image_kfold,
    official,
    paper,
)
from oadls.errors import UserError


def table_of(cells):
    """cells: (group, label or None, part)"""
    group, label, part = zip(*cells, strict=True)
    name = [f"cell{i:04d}" for i in range(len(cells))]
    columns = {"path": name, "name": name, "label": label, "patient": group, "group": group}
    return pd.DataFrame(columns | {"part": part}, dtype=object)


def patients(count=12, cells=10, part="all"):
    return [
        (f"P{p:02d}", ("all", "normal")[p % 2], part) for p in range(count) for _ in range(cells)
    ]


@st.composite
def tables(draw):
    """Patients with different numbers of cells, some of both classes, some cells unlabelled."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=10, max_size=16))
    cells = []
    for p, size in enumerate(sizes):
        mixed = draw(st.integers(0, 5)) == 0
        for i in range(size):
            label = ("all", "normal")[(p + (i if mixed else 0)) % 2]
            cells.append((f"P{p:02d}", label, f"fold_{p % 3}"))
    unlabelled = draw(st.integers(0, 4))
    return table_of(cells + [("P00", None, "final")] * unlabelled)


GROUPED = [
    partial(grouped_kfold, folds=3),
    partial(grouped_kfold, folds=4, val=0.2),
    partial(grouped_kfold, folds=2, val=0),
    grouped_holdout,
]
BY_IMAGE = [partial(image_kfold, folds=3), partial(image_kfold, folds=5, val=0.1), paper]
FEW = settings(max_examples=8, deadline=None)
EVERY = [*GROUPED, *BY_IMAGE, official]


@pytest.mark.parametrize("protocol", EVERY)
@given(table=tables(), seed=st.integers(0, 99))
@FEW
def test_every_cell_has_one_side_and_unlabelled_cells_none(protocol, table, seed):
    for split in protocol(table, seed=seed):
        assert split.side.index.tolist() == table["name"].tolist()
        assert set(split.side) <= {"train", "val", "test", ""}
        assert (split.side[table["label"].isna().to_numpy()] == "").all()


@pytest.mark.parametrize("protocol", [*GROUPED, official])
@given(table=tables(), seed=st.integers(0, 99))
@FEW
def test_no_group_is_on_two_sides(protocol, table, seed):
    for split in protocol(table, seed=seed):
        sides = split.side[split.side != ""].groupby(table.set_index("name")["group"])
        assert (sides.nunique() == 1).all()
        assert not split.by_image
        check_split(table, split)


@pytest.mark.parametrize("protocol", [*GROUPED[:3], *BY_IMAGE[:2]])
@given(table=tables(), seed=st.integers(0, 99))
@FEW
def test_every_labelled_cell_is_tested_in_exactly_one_fold(protocol, table, seed):
    tested = sum((split.side == "test").astype(int) for split in protocol(table, seed=seed))
    assert (tested.to_numpy() == table["label"].notna().to_numpy()).all()


@pytest.mark.parametrize("protocol", EVERY)
@given(table=tables(), seed=st.integers(0, 99))
@FEW
def test_the_order_of_the_rows_does_not_matter(protocol, table, seed):
    shuffled = table.sample(frac=1, random_state=seed)
    for one, other in zip(protocol(table, seed=seed), protocol(shuffled, seed=seed), strict=True):
        assert one.side.equals(other.side[one.side.index])


@pytest.mark.parametrize("protocol", [grouped_kfold, grouped_holdout, image_kfold, paper])
def test_another_seed_is_another_split(protocol):
    table = table_of(patients(count=40))
    assert not protocol(table, seed=0)[0].side.equals(protocol(table, seed=1)[0].side)


def test_three_folds_of_c_nmc_have_one_healthy_patient_and_a_third_of_the_cells_each():
    sizes = {"16": 53, "2": 84, "23": 97, "30": 201, "32": 212, "33": 181, "34": 352}
    sizes |= {"38": 145, "44": 146, "46": 190, "51": 757, "H10": 400, "H14": 385, "H22": 373}
    cells = [
        (p, "normal" if p[0] == "H" else "all", "fold_1") for p in sizes for _ in range(sizes[p])
    ]
    table = table_of(cells)
    for split in grouped_kfold(table, seed=3, folds=3, val="next"):
        for side in ("train", "val", "test"):
            rows = split.rows(table, side)
            healthy = rows[rows["label"] == "normal"]
            assert healthy["patient"].nunique() == 1
            assert len(rows) - len(healthy) == pytest.approx(2418 / 3, rel=0.03)


def test_validation_by_fraction_comes_from_the_training_part():
    table = table_of(patients(count=30))
    following = grouped_kfold(table, seed=0, folds=5, val=0)
    for split, base in zip(grouped_kfold(table, seed=0, folds=5, val=0.25), following, strict=True):
        assert ((split.side == "test") == (base.side == "test")).all()
        assert (split.side == "val").sum() == pytest.approx(60, abs=20)
        assert set(split.rows(table, "val")["label"]) == {"all", "normal"}


@pytest.mark.parametrize("settings", [{"folds": 2, "val": "next"}, {"val": 1.5}, {"val": "last"}])
def test_an_impossible_validation_setting_is_refused(settings):
    with pytest.raises(UserError, match="val is 'next'"):
        grouped_kfold(table_of(patients()), seed=0, **settings)


def test_more_folds_than_groups_are_refused():
    with pytest.raises(UserError, match="13 folds need as many groups, the table has 12"):
        grouped_kfold(table_of(patients()), seed=0, folds=13)


def test_holdout_sides_have_their_shares():
    table = table_of(patients(count=40))
    (split,) = grouped_holdout(table, seed=0, val=0.15, test=0.25)
    shares = split.side.value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.25, abs=0.03)
    assert shares["val"] == pytest.approx(0.15, abs=0.03)


def test_holdout_refuses_to_leave_nothing_for_training():
    with pytest.raises(UserError, match="fractions below 1 in sum"):
        grouped_holdout(table_of(patients()), seed=0, val=0.5, test=0.5)


def test_no_labels_no_split():
    with pytest.raises(UserError, match="labelled cells are needed"):
        grouped_kfold(table_of([("P", None, "all")] * 5), seed=0)


def test_the_papers_draw_has_the_papers_numbers():
    table = table_of(
        [(f"P{i % 9}", "all", "fold_0") for i in range(2000)]
        + [(f"H{i % 9}", "normal", "fold_1") for i in range(1950)]
        + [("P99", "all", "prelim")] * 50
    )
    (split,) = paper(table, seed=0)
    assert split.by_image
    assert "image" in split.protocol
    used = table[(split.side != "").to_numpy()]
    assert used["label"].value_counts().to_dict() == {"all": 1948, "normal": 1927}
    assert "prelim" not in set(used["part"])
    assert (split.side == "test").sum() == 390 + 385
    assert (split.side == "val").sum() == 156 + 154


def test_the_papers_draw_shrinks_in_proportion_and_says_so(caplog):
    table = table_of(patients(count=20, part="fold_1"))
    with caplog.at_level(logging.WARNING):
        (split,) = paper(table, seed=0, draw={"all": 200, "normal": 50})
    used = table["label"][(split.side != "").to_numpy()].value_counts()
    assert used.to_dict() == {"all": 100, "normal": 25}
    assert "draws 0.500 of its" in caplog.text


def test_the_papers_draw_refuses_other_classes():
    with pytest.raises(UserError, match="paper draws"):
        paper(table_of([("P", "monocyte", "all"), ("Q", "all", "all")]), seed=0)


PARTS = [("A", "all", "fold_0"), ("HA", "normal", "fold_0"), ("B", "all", "fold_1")]
PARTS += [("HB", "normal", "fold_1"), ("C", "all", "fold_2"), ("HC", "normal", "fold_2")]
PARTS += [("D", "all", "prelim"), ("HD", "normal", "prelim"), ("E", None, "final")]


@pytest.mark.parametrize(("rotate", "held_out"), [(0, "fold_2"), (1, "fold_0"), (2, "fold_1")])
def test_official_folds_rotate(rotate, held_out):
    table = table_of(PARTS)
    (split,) = official(table, rotate=rotate)
    assert set(split.rows(table, "val")["part"]) == {held_out}
    assert set(split.rows(table, "test")["part"]) == {"prelim"}
    assert split.side.tolist().count("train") == 4


def test_official_keeps_a_straddling_group_whole_on_its_larger_side():
    table = table_of(
        [*PARTS, ("B", "all", "fold_2"), ("B", "all", "fold_0"), ("D", "all", "fold_1")]
    )
    (split,) = official(table)
    check_split(table, split)
    assert split.side.tolist()[-3:] == ["train", "train", ""]
    assert split.side.tolist()[6] == "test"


def test_official_as_published_is_by_image():
    table = table_of([*PARTS, ("B", "all", "fold_2")])
    (split,) = official(table, as_published=True)
    assert split.by_image
    assert "image" in split.protocol
    assert split.side.iloc[-1] == "val"


def test_official_needs_its_parts():
    with pytest.raises(UserError, match="takes train from part fold_0, fold_1; the table has all"):
        official(table_of(patients()))


def planted(side_a, side_b):
    table = table_of(patients(count=8, cells=2))
    side = pd.Series(np.repeat(["train", "val", "test", "test"], 4), index=table["name"])
    side.iloc[[0, 1]] = [side_a, side_b]
    return table, Split("planted", 0, side)


@pytest.mark.parametrize("sides", [("train", "test"), ("train", "val"), ("val", "test")])
def test_a_planted_leak_is_found_and_named(sides):
    table, split = planted(*sides)
    with pytest.raises(UserError, match=f"group P00 is in {sides[0]} and {sides[1]}"):
        check_split(table, split)


def test_an_unused_cell_of_a_group_is_no_leak():
    table, split = planted("train", "")
    check_split(table, split)


def test_a_leak_by_image_is_what_its_name_says():
    table, split = planted("train", "test")
    check_split(table, Split("by_image", 0, split.side, by_image=True))


@pytest.mark.parametrize("column", ["patient", "pixels_sha256"])
def test_a_leak_that_the_groups_missed_is_found(column):
    table, split = planted("train", "train")
    table["pixels_sha256"] = [str(i) for i in range(len(table))]
    table.loc[[0, 15], column] = "same"
    with pytest.raises(UserError, match=f"{column} same is in train and test"):
        check_split(table, split)


def test_a_training_side_without_a_class_is_refused():
    table = table_of(patients())
    side = pd.Series("test", index=table["name"])
    side[(table["label"] == "all").to_numpy()] = "train"
    with pytest.raises(UserError, match="train has no cell of normal"):
        check_split(table, Split("planted", 0, side))


def test_a_test_side_without_a_class_is_mentioned(caplog):
    table = table_of(patients())
    side = pd.Series("train", index=table["name"])
    side[(table["group"] == "P00").to_numpy()] = "test"
    with caplog.at_level(logging.WARNING):
        check_split(table, Split("planted", 0, side))
    assert "test has no cell of normal" in caplog.text
    assert "val has no cell of all, normal" in caplog.text


def test_a_split_of_other_cells_is_refused():
    table = table_of(patients())
    (split,) = grouped_holdout(table.head(60), seed=0)
    with pytest.raises(UserError, match="for every cell"):
        check_split(table, split)


def test_rotating_validation_tests_a_cell_once_with_every_other_fold_as_validation():
    table = table_of(patients(12))
    splits = grouped_kfold(table, seed=0, folds=4, val="rotate")
    assert [split.fold for split in splits] == [k for k in range(4) for _ in range(3)]
    for fold in range(4):
        turns = [split for split in splits if split.fold == fold]
        tested = {tuple(split.rows(table, "test")["name"]) for split in turns}
        assert len(tested) == 1
        validated = [set(split.rows(table, "val")["name"]) for split in turns]
        assert len(set.union(*validated)) == sum(map(len, validated))
        assert set.union(*validated, *map(set, tested)) == set(table["name"])


def test_repeats_test_every_cell_once_each_on_other_partitions():
    table = table_of(patients())
    splits = grouped_kfold(table, seed=0, folds=3, repeats=3)
    assert len({split.name for split in splits}) == len(splits) == 9
    partitions = set()
    for repeat in range(3):
        tested = [split.rows(table, "test") for split in splits if split.repeat == repeat]
        assert sorted(pd.concat(tested)["name"]) == sorted(table["name"])
        partitions.add(frozenset(frozenset(part["group"]) for part in tested))
    assert len(partitions) == 3
    for split in splits:
        check_split(table, split)


def test_the_first_repeat_is_the_plain_cross_validation():
    table = table_of(patients())
    plain, repeated = (grouped_kfold(table, seed=1, folds=3, repeats=r) for r in (1, 2))
    for one, other in zip(plain, repeated, strict=False):
        assert one.name == other.name
        pd.testing.assert_series_equal(one.side, other.side)


def test_leaks_are_listed_with_their_sides_and_number_of_cells():
    table = table_of([("P", "all", "x")] * 4 + [("Q", "all", "x")] * 3 + [("R", "all", "x")] * 2)
    table["patient"] = ["P1"] * 2 + ["P2"] * 2 + ["Q"] * 3 + [None] * 2
    table["pixels_sha256"] = ["a", "b", "a", "c", "d", "e", "f", "g", "g"]
    sides = ["train", "train", "test", "test", "val", "test", "", "train", "train"]
    leaks = find_leaks(table, Split("rule", 0, pd.Series(sides, index=table["name"])))
    assert leaks.to_numpy().tolist() == [
        ["group", "P", "train and test", 4],
        ["group", "Q", "val and test", 2],
        ["patient", "Q", "val and test", 2],
        ["pixels_sha256", "a", "train and test", 2],
    ]


@pytest.mark.parametrize("folds", [0, 1])
def test_fewer_than_two_folds_are_refused(folds):
    with pytest.raises(UserError, match="folds is 2 or more"):
        grouped_kfold(table_of(patients()), seed=0, folds=folds, val=0.2)
