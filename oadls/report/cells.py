"""What a source has found, said before anything is read: folders, classes, patients, the rest."""

import logging
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from oadls.data.table import Cells
from oadls.names import printable_lines
from oadls.terminal import console

log = logging.getLogger(__name__)

MOST_ROWS = 16  # of the table: more folders are told together
DEEPEST = 3  # folders of a path that are told
COLUMNS = ("folder", "class", "images", "patients", "left out, and why")


def print_found(
    cells: Cells, *, name: str, classes: Sequence[str], positive: str | None = None
) -> None:
    """One line of the classes with their cells and patients, and a table by folder."""
    told = describe_classes(cells.table, classes=classes, positive=positive)
    log.info("%s: %s", name, printable_lines(told))
    table = Table(title=Text(printable_lines(f"Images of {name}")))
    for column in COLUMNS:
        table.add_column(column, justify="right" if column == "images" else "left")
    for row in found_rows(cells):
        table.add_row(*(Text(printable_lines(value)) for value in row))
    console().print(table)


def describe_classes(
    table: pd.DataFrame, *, classes: Sequence[str], positive: str | None = None
) -> str:
    """ "2 classes: all (positive) with 12 cells of 3 patients, hem with 8, patients unknown"."""
    told = []
    for label in classes:
        sign = " (positive)" if label == positive else ""
        told.append(f"{label}{sign} with {_count(table[table['label'] == label])}")
    number = {0: "no class", 1: "1 class"}.get(len(classes), f"{len(classes)} classes")
    text = f"{number}: {', '.join(told)}" if told else number
    blank = table[table["label"].isna()]
    return f"{text}; without a label {_count(blank)}" if len(blank) else text


def found_rows(cells: Cells) -> list[tuple[str, ...]]:
    """COLUMNS of each folder and class, what is left out beside it; of many folders, together."""
    table, left = cells.table, cells.left
    folders, aside = _folders(table["name"]), _folders(left["path"])
    for depth in range(DEEPEST, -1, -1):
        places = [_to(folder, depth) for folder in folders]
        known = set(places)
        nearest = [_nearest(folder, known=known, depth=depth) for folder in aside]
        rows = _rows(table, places, left, nearest)
        if len(rows) <= MOST_ROWS:
            break
    reasons = cells.excluded.groupby("reason")["path"]
    return rows + [
        ("", "-", "0", "", f"{_number(len(paths))}: {reason} ({paths.iloc[0]})")
        for reason, paths in list(reasons)[:MOST_ROWS]
    ]


def _rows(
    table: pd.DataFrame, places: list[str], left: pd.DataFrame, aside: list[str]
) -> list[tuple[str, ...]]:
    reasons = {
        str(place): _reasons(part) for place, part in left.groupby(np.array(aside, dtype=object))
    }
    rows = []
    labels = ["-" if label is None else printable_lines(label) for label in table["label"]]
    keys = [np.array(values, dtype=object) for values in (places, labels)]
    for (place, label), part in table.groupby(keys):
        told = reasons.pop(str(place), "")
        rows.append((str(place), str(label), _number(len(part)), _patients(part), told))
    rows += [(str(place), "-", "0", "", told) for place, told in reasons.items()]
    return sorted(rows, key=lambda row: row[0])


def _folders(names: Iterable[str]) -> list[str]:
    """The folder of each path, as it can be shown: pandas groups by no other text."""
    return [printable_lines(name.rpartition("/")[0]) for name in names]


def _to(folder: str, depth: int) -> str:
    """The first so many folders of a path, "." for those that lie in none."""
    return "/".join(folder.split("/")[:depth]) or "."


def _nearest(folder: str, *, known: Collection[str], depth: int) -> str:
    """The folder with images in which one without lies; itself where there is none."""
    parts = folder.split("/")[:depth]
    for length in range(len(parts), 0, -1):
        if (above := "/".join(parts[:length])) in known:
            return above
    return "/".join(parts) or "."


def _reasons(left: pd.DataFrame) -> str:
    """One line a reason: how many, why, and the first of them."""
    lines = []
    for reason, paths in left.groupby("reason")["path"]:
        first = str(paths.iloc[0])
        last = first.rpartition("/")[2]
        lines.append(f"{_number(len(paths))}: {reason} ({last})" if last else str(reason))
    return "\n".join(lines)


def _count(part: pd.DataFrame) -> str:
    cells = "1 cell" if len(part) == 1 else f"{_number(len(part))} cells"
    patients = part["patient"].nunique()
    if not patients:
        return f"{cells}, patients unknown" if len(part) else cells
    unknown = int(part["patient"].isna().sum())
    more = f" ({_number(unknown)} of no known patient)" if unknown else ""
    return f"{cells} of {_number(patients)} patient{'s' if patients > 1 else ''}{more}"


def _patients(part: pd.DataFrame) -> str:
    unknown = int(part["patient"].isna().sum())
    known = part["patient"].nunique()
    if not known:
        return "unknown"
    return f"{_number(known)} ({_number(unknown)} unknown)" if unknown else _number(known)


def _number(value: int) -> str:
    return f"{value:,}"
