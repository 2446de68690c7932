"""Cells are found again by what is in their pictures, and what changed is said in words."""

from collections import Counter

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from oadls.data.same import KEY, match_cells, what_changed

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Cells with unique names; few pictures, so that some are equal."""
    names = draw(st.lists(TEXTS, min_size=1, max_size=8, unique=True))
    kinds = st.tuples(st.sampled_from("pqr"), st.sampled_from(["a", "b", None]), st.none() | TEXTS)
    rows = [(name, *draw(kinds)) for name in names]
    return pd.DataFrame(rows, columns=KEY, dtype=object)


def content(table: pd.DataFrame) -> list[tuple]:
    return list(table[KEY[1:]].itertuples(index=False, name=None))


@settings(max_examples=30, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_shuffled_and_renamed_cells_are_each_found_once(table: pd.DataFrame, random) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    moved = table.iloc[order].assign(name=[f"new/{k}" for k in range(len(table))])
    rows = match_cells(table, moved)
    assert sorted(rows) == list(range(len(table)))
    assert content(table.iloc[rows]) == content(moved)
    assert what_changed(table, moved) == ""


@settings(max_examples=30, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_a_cell_that_kept_its_name_is_itself(table: pd.DataFrame, random) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    assert list(match_cells(table, table.iloc[order])) == order


@settings(max_examples=30, deadline=None)
@given(tables(), tables())
def test_no_row_is_given_twice_and_pictures_agree(table: pd.DataFrame, other: pd.DataFrame) -> None:
    rows = match_cells(table, other)
    found = rows[rows >= 0]
    assert len(set(found)) == len(found)
    pictures = table["pixels_sha256"].to_numpy()[found]
    np.testing.assert_array_equal(pictures, other["pixels_sha256"].to_numpy()[rows >= 0])
    both = Counter(table["pixels_sha256"]) & Counter(other["pixels_sha256"])
    assert len(found) == both.total()


@settings(max_examples=30, deadline=None)
@given(tables(), tables())
def test_every_change_is_told_and_no_other(table: pd.DataFrame, other: pd.DataFrame) -> None:
    same = Counter(content(table.fillna(""))) == Counter(content(other.fillna("")))
    assert (what_changed(table, other) == "") == same


def test_what_changed_is_counted_and_named() -> None:
    names = [f"c{k}" for k in range(6)]
    before = pd.DataFrame({"name": names, "pixels_sha256": names, "label": "a", "patient": "P"})
    now = before.drop(index=0)
    now = pd.concat([now, pd.DataFrame([["new", "new", "a", None]], columns=KEY)])
    now.loc[now["name"].isin(["c1", "c2"]), "label"] = "b"
    now.loc[now["name"] == "c3", "patient"] = None
    now.loc[now["name"] == "c4", "pixels_sha256"] = "other"
    assert what_changed(before, now) == (
        "1 cell was added (new), 1 cell was removed (c0), 1 cell has another picture (c4), "
        "2 cells have another label (c1, c2), 1 cell has another patient (c3)"
    )
