"""The table of cells: one row an image, whatever the source."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Collection, Mapping

import pandas as pd

from oadls.errors import UserError
from oadls.names import printable, printable_lines

log = logging.getLogger(__name__)

COLUMNS = ("path", "name", "label", "patient", "group", "source", "part", "mask")
OPTIONAL = ("label", "patient", "mask")  # None where unknown; the others are always there
SHOWN = 10  # how many names an error prints


@dataclasses.dataclass(frozen=True)
class Cells:
    """The cells of a source, and what was left out of them.

    table : COLUMNS as text (None for an unknown label, patient or mask), a row an image;
        path and mask absolute, the others printable (see `names.printable`);
        name unique: the path below the image root without its ending;
        group the patients that belong together ("51+78"), the name for cells without patient
    excluded : path, reason; a row for everything that should have been a cell and is not
    left : path below the image root, reason; a row for what lies there and was not meant to be a
        cell: other files, thumbnails, masks beside images, folders without an image
    """

    table: pd.DataFrame
    excluded: pd.DataFrame
    left: pd.DataFrame = dataclasses.field(default_factory=lambda: _reasons({}))


def make_cells(
    rows: Collection[Mapping[str, object]],
    excluded: Mapping[str, str],
    *,
    source: str,
    left: Mapping[str, str] | None = None,
) -> Cells:
    """Fill in what a source does not know, sort by name, check.

    rows : path and name; label, patient, part and mask where the source knows them
    excluded : path -> reason; left : path below the image root -> reason
    """
    rows = sorted(rows, key=lambda row: str(row["name"]))
    names = [printable(str(row["name"])) for row in rows]
    patients = [_text(row.get("patient")) for row in rows]
    columns = {
        "path": [_absolute(row["path"]) for row in rows],
        "name": names,
        "label": [_text(row.get("label")) for row in rows],
        "patient": patients,
        "group": [name if p is None else p for name, p in zip(names, patients, strict=True)],
        "source": [source] * len(rows),
        "part": [_text(row.get("part")) or "all" for row in rows],
        "mask": [None if row.get("mask") is None else _absolute(row["mask"]) for row in rows],
    }
    # object and not pandas' own text type: None stays None, under pandas 2 and 3 alike
    table = pd.DataFrame(columns, dtype=object)
    return validate(Cells(table, _reasons(excluded), _reasons(left or {})))


def validate(cells: Cells) -> Cells:
    """The same cells, or UserError naming the first rows that break a rule of the table."""
    table = cells.table
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise UserError(
            f"table: has the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing"
        )
    if table.empty:
        raise UserError(f"table: at least one image, none is left{_why(cells.excluded)}")
    for column in COLUMNS:
        text = table[column].map(lambda value: isinstance(value, str) and value != "")
        legal = text | table[column].isna() if column in OPTIONAL else text
        _refuse(table["name"][~legal], f"{column} is a non-empty text, not in")
    for column in ("path", "name"):
        _refuse(table[column][table[column].duplicated()], f"{column} is unique, twice there is")
    _refuse(_torn(table, "patient"), "a patient is in one group, in several is")
    if "pixels_sha256" in table.columns:
        _refuse(_torn(table, "pixels_sha256"), "equal images are in one group, in several is")
    labels = table.dropna(subset=["patient", "label"]).groupby("patient")["label"].nunique()
    mixed = sorted(labels.index[labels > 1])
    if mixed:
        log.warning("table: cells of one patient have different labels: %s", _first(mixed))
    return cells


def leave_out(cells: Cells, bad: Mapping[str, str], *, max_bad: float = 0.01) -> Cells:
    """Move bad images from the table to `excluded`.

    bad : path -> reason
    max_bad : highest fraction of the images, those left out before included, that may be bad
    raises UserError with the first files and their number when there are more
    """
    lost = cells.table["path"].isin(list(bad))
    reasons = _reasons({path: bad[path] for path in cells.table["path"][lost]})
    excluded = pd.concat([cells.excluded, reasons], ignore_index=True)
    table = cells.table[~lost].reset_index(drop=True)
    total = len(table) + len(excluded)
    if len(excluded) > max_bad * total:
        raise UserError(
            f"images: {len(excluded)} of {total} are bad ({len(excluded) / total:.1%}), "
            f"at most {max_bad:.1%} may be{_why(excluded)}"
        )
    if len(excluded):
        log.warning("images: %d of %d left out%s", len(excluded), total, _why(excluded))
    return validate(dataclasses.replace(cells, table=table, excluded=excluded))


def data_fingerprint(table: pd.DataFrame) -> str:
    """Which cells these are: 12 hexadecimal digits, of a SHA-256 over pixels, label and patient.

    table : pixels_sha256, label and patient (None where unknown), a row an image
    The order of the rows, the names of the files and the folder do not count.
    """
    cells = table[["pixels_sha256", "label", "patient"]].fillna("").itertuples(index=False)
    lines = sorted("\t".join(cell) for cell in cells)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _text(value: object) -> object:
    """A text that is shown to people and written into files; anything else is for `validate`."""
    return printable(value) if isinstance(value, str) else value


def _absolute(path: object) -> str:
    """As Path.absolute, which keeps every part of every path in memory."""
    return os.path.join(os.getcwd(), str(path))


def _reasons(excluded: Mapping[str, str]) -> pd.DataFrame:
    pairs = [(printable(str(path)), printable_lines(reason)) for path, reason in excluded.items()]
    return pd.DataFrame(pairs, columns=["path", "reason"], dtype=object)


def _torn(table: pd.DataFrame, column: str) -> pd.Series:
    """Values of a column that stand in more than one group."""
    groups = table.groupby(column)["group"].nunique()
    return groups.index[groups > 1].to_series()


def _refuse(offenders: pd.Series, rule: str) -> None:
    if len(offenders):
        raise UserError(f"table: {rule} {_first(offenders.astype(str).tolist())}")


def _first(names: list[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _why(excluded: pd.DataFrame) -> str:
    """One line a file, for the end of a message."""
    lines = [f"\n  {row.path}: {row.reason}" for row in excluded.head(SHOWN).itertuples()]
    more = [f"\n  … ({len(excluded)} in all)"] if len(excluded) > SHOWN else []
    return "".join(lines + more)
