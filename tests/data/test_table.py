import logging

import pandas as pd
import pytest

from oadls.data.table import (
    COLUMNS,
    Cells,
    data_fingerprint,
    leave_out,
    make_cells,
    validate,
)
from oadls.errors import UserError


def cells(count=200, **changes):
    rows = [
        {"path": f"/data/{i:03d}.png", "name": f"{i:03d}", "label": "all", "patient": f"P{i // 10}"}
        for i in range(count)
    ]
    made = make_cells(rows, {}, source="made")
    return Cells(made.table.assign(**changes), made.excluded)


def test_a_table_has_its_columns_sorted_by_name_with_none_where_unknown():
    rows = [{"path": "b.png", "name": "b"}, {"path": "a.png", "name": "a", "patient": "P"}]
    table = make_cells(rows, {}, source="made").table
    assert tuple(table.columns) == COLUMNS
    assert table["name"].tolist() == ["a", "b"]
    assert table["label"].tolist() == [None, None]
    assert table["group"].tolist() == ["P", "b"]
    assert table["part"].tolist() == ["all", "all"]
    assert table["path"].str.startswith("/").all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("name", "same", "name is unique"),
        ("path", "/same.png", "path is unique"),
        ("label", 1, "label is a non-empty text"),
        ("label", "", "label is a non-empty text"),
        ("group", None, "group is a non-empty text"),
        ("patient", float(7), "patient is a non-empty text"),
    ],
)
def test_a_broken_column_is_refused(column, value, message):
    with pytest.raises(UserError, match=message):
        validate(cells(**{column: value}))


def test_a_missing_column_is_named():
    broken = cells()
    with pytest.raises(UserError, match="mask missing"):
        validate(Cells(broken.table.drop(columns="mask"), broken.excluded))


def test_a_patient_in_two_groups_is_refused():
    with pytest.raises(UserError, match="a patient is in one group, in several is P0"):
        validate(cells(group=[f"G{i % 2}" for i in range(200)]))


def test_equal_images_in_two_groups_are_refused():
    digests = ["same"] * 11 + [str(i) for i in range(189)]  # P0 and the first cell of P1
    with pytest.raises(UserError, match="equal images are in one group"):
        validate(cells(pixels_sha256=digests))


def test_a_patient_with_two_labels_is_legal_and_mentioned(caplog):
    with caplog.at_level(logging.WARNING):
        validate(cells(label=["all", "normal"] * 100))
    assert "cells of one patient have different labels: P0" in caplog.text


def test_an_empty_table_is_refused_with_the_reasons():
    with pytest.raises(UserError, match=r"a\.png: broken"):
        make_cells([], {"a.png": "broken"}, source="made")


def test_a_table_survives_parquet(tmp_path):
    whole = cells(10)
    whole.table.to_parquet(tmp_path / "cells.parquet")
    validate(Cells(pd.read_parquet(tmp_path / "cells.parquet"), whole.excluded))


def test_a_few_bad_images_move_to_excluded():
    whole = cells()
    left = leave_out(whole, {"/data/003.png": "cut short", "/elsewhere.png": "x"}, max_bad=0.01)
    assert len(left.table) == 199
    assert left.excluded.to_dict("records") == [{"path": "/data/003.png", "reason": "cut short"}]
    assert left.table.index.tolist() == list(range(199))
    assert len(whole.table) == 200  # the argument is not changed


def test_too_many_bad_images_stop_with_the_first_ten_and_the_number():
    bad = {f"/data/{i:03d}.png": "cut short" for i in range(12)}
    with pytest.raises(
        UserError, match=r"12 of 200 are bad \(6.0%\), at most 1.0% may be"
    ) as error:
        leave_out(cells(), bad, max_bad=0.01)
    assert "/data/009.png: cut short" in str(error.value)
    assert "/data/010.png" not in str(error.value)
    assert "12 in all" in str(error.value)


def test_what_a_source_left_out_counts_as_bad():
    made = cells()
    excluded = pd.DataFrame({"path": ["/a", "/b", "/c"], "reason": "no label"})
    with pytest.raises(UserError, match="3 of 203"):
        leave_out(Cells(made.table, excluded), {}, max_bad=0.01)


def test_a_fingerprint_is_of_pixels_labels_and_patients_alone():
    table = pd.DataFrame(
        {
            "name": ["a", "b", "c"],
            "pixels_sha256": ["1", "2", "3"],
            "label": ["all", None, "normal"],
            "patient": ["P", "P", None],
        }
    )
    found = data_fingerprint(table)
    assert len(found) == 12
    assert data_fingerprint(table.iloc[::-1].assign(name=["x", "y", "z"])) == found
    assert data_fingerprint(table.iloc[:2]) != found
    for column in ("pixels_sha256", "label", "patient"):
        assert data_fingerprint(table.assign(**{column: ["9", "8", "7"]})) != found
