"""What a source has found, said before anything is read: folders, classes, patients, the rest."""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oadls.data.table import Cells

log = logging.getLogger(__name__)

WIDTH = 112  # of a table where the output is a file or a pipe
MOST_ROWS = 16  # of the table: more folders are told together
DEEPEST = 3  # folders of a path that are told
COLUMNS = ("folder", "class", "images", "patients", "left out, and why")


def print_found(
    cells: Cells, *, name: str, classes: Sequence[str], positive: str | None = None
) -> None:
    """One line of the classes with their cells and patients, and a table by folder."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    log.info("%s: %s", name, describe_classes(cells.table, classes=classes, positive=positive))
    table = Table(title=Text(f"Images of {name}"))
    for column in COLUMNS:
        table.add_column(column, justify="right" if column == "images" else "left")
    for row in found_rows(cells):
        table.add_row(*(Text(_printable(value)) for value in row))
    console.print(table)


def describe_classes(
    table: pd.DataFrame, *, classes: Sequence[str], positive: str | None = None
) -> str:
    """ "2 classes: all (positive) with 12 cells of 3 patients, hem with 8 cells, patients unknown"."""
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
        places = folders.map(_to(depth))
        nearest = partial(_nearest, known=set(places), depth=depth)
        rows = _rows(table, places, left, aside.map(nearest))
        if len(rows) <= MOST_ROWS:
            break
    reasons = cells.excluded.groupby("reason")["path"]
    return rows + [
        ("", "-", "0", "", f"{_number(len(paths))}: {reason} ({paths.iloc[0]})")
        for reason, paths in list(reasons)[:MOST_ROWS]
    ]


def _rows(
    table: pd.DataFrame, folder: pd.Series, left: pd.DataFrame, aside: pd.Series
) -> list[tuple[str, ...]]:
    reasons = {place: _reasons(part) for place, part in left.groupby(aside.to_numpy())}
    rows = []
    labels = table["label"].fillna("-")
    for (place, label), part in table.groupby([folder.to_numpy(), labels.to_numpy()]):
        told = reasons.pop(place, "")
        rows.append((str(place), str(label), _number(len(part)), _patients(part), told))
    rows += [(str(place), "-", "0", "", told) for place, told in reasons.items()]
    return sorted(rows, key=lambda row: row[0])


def _folders(names: pd.Series) -> pd.Series:
    """The folder of each path."""
    return names.astype(str).str.rpartition("/")[0] if len(names) else names.astype(object)


def _to(depth: int) -> Callable[[str], str]:
    """The first so many folders of a path, "." for those that lie in none."""
    return lambda folder: "/".join(folder.split("/")[:depth]) or "."


def _nearest(folder: str, *, known: Collection[str], depth: int) -> str:
    """The folder with images in which one without lies; itself where there is none."""
    parts = folder.split("/")[:depth]
    for length in range(len(parts), 0, -1):
        if (above := "/".join(parts[:length])) in known:
            return above
    return "/".join(parts) or "."


def _reasons(left: pd.DataFrame) -> str:
    groups = left.groupby("reason")["path"]
    return "\n".join(
        reason
        if paths.iloc[0].endswith("/")
        else f"{_number(len(paths))}: {reason} ({paths.iloc[0].rpartition('/')[2] or '.'})"
        for reason, paths in groups
    )


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


def _printable(text: str) -> str:
    """With what no terminal shows written out."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in shown)
