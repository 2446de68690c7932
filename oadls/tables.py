"""Tables as CSV that people open with a spreadsheet and programs read again.

A text that a spreadsheet would calculate ("=1+1", "@SUM", "-x") stands behind an apostrophe, as
does one that begins with an apostrophe; `read_table` takes one away. Numbers are left as they are.
"""

import csv
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from oadls.errors import UserError
from oadls.names import printable_lines

FORMULA = tuple("=+-@\n'＝＋－＠")  # the wide ones for spreadsheets of East Asia
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text `guarded`, the names of columns too."""
    return _changed(table, guarded)


def read_table(file: Path) -> pd.DataFrame:
    """A CSV of `publish_table`, every value as the text that it is: "007", "NA" may be patients.

    raises UserError for a file that is not there, is empty or ends within a row
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    text = content.decode("utf-8", errors="surrogateescape")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise not_whole(file) from error
    if not text.endswith("\n") or any(len(row) != len(rows[0]) for row in rows):
        raise not_whole(file)
    told = [[unguarded(value) for value in row] for row in rows]
    return pd.DataFrame(told[1:], columns=told[0], dtype=object)


def not_whole(file: Path) -> UserError:
    """What is said of a file that ends too early."""
    return UserError(
        f"{file}: is not whole, as after a full disk or a kill; delete it and give the command "
        "that wrote it again (ckpt_path=FOLDER goes on with a run)"
    )


def numbers_in(column: pd.Series) -> pd.Series:
    """Texts as the very numbers that they say, NaN where empty; a text that is none stays."""
    for kind in (int, lambda text: float(text) if text else math.nan):
        try:
            return pd.Series([kind(text) for text in column], index=column.index, name=column.name)
        except ValueError:
            continue
    return column


def _changed(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    found = table.copy()
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            # object: pandas' own text type takes no byte that is no text
            found[name] = pd.Series(map(change, table[name]), table.index, object)
    return found.rename(columns=change)


def guarded(value: Any) -> Any:
    """A text without controls that no spreadsheet calculates; any other value as it is."""
    if not isinstance(value, str):
        return value
    text = printable_lines(value)
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def unguarded(value: Any) -> Any:
    """What `guarded` was given, if it was printable."""
    return value[1:] if isinstance(value, str) and value.startswith("'") else value
