"""What a sweep writes, Hydra reads as it was meant: whatever stands in a choice or a path."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from oadls.command_line import argument, named, parse
from oadls.settings import sqlite_file

SIMPLE = st.text(st.characters(exclude_categories=["C"]), max_size=12)
ODD = st.text(st.sampled_from("ab ,;:=()[]{}'\"\\\\$#~%?@ü/."), max_size=12)


@given(SIMPLE | ODD)
def test_a_choice_is_read_back_as_it_was(value: str) -> None:
    read = parse(argument("name", value))
    assert not read.is_sweep_override()
    assert read.value() == value or not isinstance(read.value(), str)  # "3" is a number


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans())
def test_a_number_is_read_back_as_it_was(value: float) -> None:
    assert parse(argument("optimizer.lr", value)).value() == value


@pytest.mark.parametrize(("text", "value"), [("null", None), ("[1,b]", [1, "b"]), ("1e-3", 0.001)])
def test_a_choice_of_none_or_lists_is_one(text: str, value: object) -> None:
    assert parse(argument("name", text)).value() == value


def test_a_setting_has_the_name_that_a_sweep_gives_it() -> None:
    lines = ["a.b=1", "+a.b=choice(1,2)", "++a.b='c=d'", "model/head@x=acrnn_f", "~a.b"]
    assert [named(line) for line in lines] == ["a.b", "+a.b", "++a.b", "model/head@x", "~a.b"]


@given(SIMPLE | ODD)
def test_a_database_may_lie_in_any_folder(name: str) -> None:
    file = str(Path("/home") / name / "study.db")
    found = make_url(sqlite_file(file))
    assert (found.database, dict(found.query)) == (file, {})
