"""Are these the cells of then? Joined by what is in the pictures, whatever row they stand in."""

from collections import defaultdict, deque

import numpy as np
import pandas as pd

from oadls.data.table import data_fingerprint

KEY = ["name", "pixels_sha256", "label", "patient"]  # of a cell, None where unknown
SURENESS = (KEY, KEY[1:], KEY[:2], KEY[1:2])  # by what two cells are one, the surest first
SHOWN = 3  # names in a sentence


def match_cells(table: pd.DataFrame, wanted: pd.DataFrame) -> np.ndarray:
    """(M,) int: the row of the table that is each wanted cell, -1 where there is none.

    Equal pictures are one cell; of several, the one with the same name, label and patient. No row
    is given twice.

    table, wanted : KEY, a row a cell
    """
    found = np.full(len(wanted), -1)
    free = np.ones(len(table), dtype=bool)
    for columns in SURENESS:
        rows: dict[tuple, deque[int]] = defaultdict(deque)
        open_rows = np.flatnonzero(free)
        for row, key in zip(open_rows, _keys(table.iloc[open_rows], columns), strict=True):
            rows[key].append(int(row))
        left = np.flatnonzero(found < 0)
        for place, key in zip(left, _keys(wanted.iloc[left], columns), strict=True):
            if rows.get(key):
                found[place] = rows[key].popleft()
                free[found[place]] = False
    return found


def what_changed(before: pd.DataFrame, now: pd.DataFrame) -> str:
    """What sets the cells of now apart from those before, in words; empty where nothing does.

    "1 cell was added (a), 2 have another label (b, c)". Files may be renamed, moved and sorted.
    """
    if data_fingerprint(before) == data_fingerprint(now):
        return ""
    rows = match_cells(before, now)
    old = before.iloc[rows[rows >= 0]].reset_index(drop=True)
    new = now.iloc[np.flatnonzero(rows >= 0)].reset_index(drop=True)
    added = set(now["name"].iloc[np.flatnonzero(rows < 0)])
    lost = set(before["name"].drop(before.index[rows[rows >= 0]]))
    parts = [
        (added - lost, "was added", "were added"),
        (lost - added, "was removed", "were removed"),
        (added & lost, "has another picture", "have another picture"),
        (_differing(old, new, "label"), "has another label", "have another label"),
        (_differing(old, new, "patient"), "has another patient", "have another patient"),
    ]
    return ", ".join(_count(sorted(names), one, more) for names, one, more in parts if names)


def _differing(old: pd.DataFrame, new: pd.DataFrame, column: str) -> set[str]:
    differs = old[column].fillna("").to_numpy(object) != new[column].fillna("").to_numpy(object)
    return set(new["name"][differs])


def _count(names: list[str], one: str, more: str) -> str:
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    cells = f"1 cell {one}" if len(names) == 1 else f"{len(names)} cells {more}"
    return f"{cells} ({shown})"


def _keys(cells: pd.DataFrame, columns: list[str]) -> list[tuple]:
    known = cells[columns].astype(object)
    return list(known.where(known.notna(), None).itertuples(index=False, name=None))
