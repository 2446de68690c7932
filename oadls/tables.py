"""Tables as CSV that people open with a spreadsheet and programs read again.

A text that a spreadsheet would calculate ("=1+1", "@SUM", "-x") stands behind an apostrophe, as
does one that begins with an apostrophe; `read_csv` takes one away. Numbers are left as they are.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from oadls.names import printable_lines

FORMULA = tuple("=+-@\n'＝＋－＠")  # the wide ones for spreadsheets of East Asia
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text `guarded`, the names of columns too."""
    return _changed(table, guarded)


def read_csv(file: Path, **settings: Any) -> pd.DataFrame:
    """A table that `publish_table` wrote; settings: of `pandas.read_csv`."""
    found = pd.read_csv(file, encoding="utf-8", float_precision="round_trip", **settings)
    return _changed(found, unguarded)


def _changed(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    # object: pandas' own text type takes no byte that is no text
    changed = {name: pd.Series(map(change, table[name]), table.index, object) for name in texts}
    return table.assign(**changed).rename(columns=change)


def guarded(value: Any) -> Any:
    """A text without controls that no spreadsheet calculates; any other value as it is."""
    if not isinstance(value, str):
        return value
    text = printable_lines(value)
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def unguarded(value: Any) -> Any:
    """What `guarded` was given, if it was printable."""
    return value[1:] if isinstance(value, str) and value.startswith("'") else value
