"""A table is the same after it was written and read, and no spreadsheet calculates in it."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oadls.names import printable_lines
from oadls.publish import publish_table
from oadls.tables import guarded, inert, numbers_in, read_table, unguarded

FORMULAS = [
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "\t=1",
    "\r=1",
    "＝1",
    "'=1",
    "'",
    "=-",
]
TEXTS = st.sampled_from(FORMULAS) | st.text(min_size=1)


@given(TEXTS)
def test_every_text_comes_back_and_none_begins_as_a_formula(text: str) -> None:
    shown = guarded(text)
    assert unguarded(shown) == printable_lines(text)
    try:
        float(text)
    except ValueError:
        assert shown[0] not in "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize("number", ["-5", "+3", "-0.5", "-1e-5", "+.5", "-7."])
def test_numbers_stay_numbers(number: str) -> None:
    assert guarded(number) == number
    assert guarded(float(number)) == float(number)


@given(st.lists(TEXTS, min_size=1, max_size=5), st.floats(allow_nan=False, allow_infinity=False))
def test_a_table_comes_back(tmp_path_factory, texts: list[str], number: float) -> None:
    file = tmp_path_factory.mktemp("tables") / "cells.csv"
    table = pd.DataFrame({"=name": texts, "-share": number, "known": True}).astype(
        {"=name": object}
    )
    publish_table(file, table)
    found = read_table(file)
    assert found["=name"].tolist() == list(map(printable_lines, texts))
    assert numbers_in(found["-share"]).tolist() == [number] * len(texts)
    cells = [cell for row in csv.reader(io.StringIO(file.read_text("utf-8"))) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=@\t\r") and cell]


def test_a_byte_that_is_no_text_does_not_spoil_a_table(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["/cells/\udcff.png", "/cells/白.png"]}, dtype=object)
    publish_table(tmp_path / "cells.csv", table)
    assert read_table(tmp_path / "cells.csv")["path"].tolist() == [
        "/cells/\\xff.png",
        "/cells/白.png",
    ]


def test_what_is_unknown_stays_empty() -> None:
    table = pd.DataFrame({"patient": [None, "=1"], "area": [float("nan"), 2.0]}, dtype=object)
    assert inert(table).to_csv(index=False) == "patient,area\n,\n'=1,2.0\n"
