"""Cells from a table of paths, labels and patients, as people keep them."""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from oadls.data.sources.columns import map_columns
from oadls.data.sources.endings import without_ending
from oadls.data.sources.listing import name_of, survey
from oadls.data.sources.text_table import read_text_table
from oadls.errors import UserError

log = logging.getLogger(__name__)

Row = dict[str, object]


def list_table(
    table: Path, *, home: Path, columns: Mapping[str, object]
) -> tuple[list[Row], dict[str, str], dict[str, str]]:
    """Rows of the images that are there, those that are not, and images that no row names.

    table : CSV or Parquet; home : the image root; columns : our name -> the table's (see
        `columns.map_columns`)
    returns rows, path -> why the row has no image, path below home -> why that image is not taken.
    Only the folders of the images that are named are looked into, none below them.
    raises UserError for what is no such table, and for an image that stands in it twice
    """
    rows: list[Row] = []
    excluded: dict[str, str] = {}
    lost: list[str] = []
    for entry in _read_table(table, columns):
        path = _find(entry["path"], home=home, table=table)
        if path is None:
            excluded[_missing_key(entry["path"], home)] = _why_missing(entry["path"], table)
            continue
        mask = _find(entry.get("mask"), home=home, table=table)
        if mask is None and entry.get("mask"):
            lost.append(str(entry["mask"]))
        inside = path.is_relative_to(home)
        name = name_of(path, home) if inside else without_ending(path.as_posix())
        rows.append(entry | {"path": path, "name": name, "mask": mask})
    if lost:
        log.warning(
            "folder: %d masks of %s are not there, %s first: these cells are not scored",
            *(len(lost), table.name, lost[0]),
        )
    _refuse_twice([str(row["path"]) for row in rows], table)
    return rows, excluded, _unlisted(rows, home=home, table=table)


def _read_table(path: Path, columns: Mapping[str, object]) -> list[Row]:
    """The known columns as text, None where empty."""
    if path.suffix.lower() in (".parquet", ".pq"):
        frame = _read_parquet(path)
    else:  # as text: a patient 007 keeps its zeros; "NA" may be a class
        frame = read_text_table(path, source="folder")
    frame = map_columns(frame, columns, table=path)
    rows: list[Row] = [
        {"label": None}
        | {name: _text(value) for name, value in zip(frame.columns, values, strict=True)}
        for values in frame.itertuples(index=False, name=None)
    ]
    if empty := [number for number, row in enumerate(rows, start=1) if row["path"] is None]:
        raise UserError(f"folder: every row of {path} has a path, row {empty[0]} has none")
    return rows


def _read_parquet(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"folder: {path} is a table, it is not there")
    try:
        frame = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise UserError(f"folder: {path} is not a readable table: {error}") from error
    return frame.rename(columns=lambda column: str(column).strip())


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or value != value:  # NaN differs from itself
        return None
    if isinstance(value, float) and value.is_integer():  # integers beside an empty cell
        value = int(value)
    return str(value).strip() or None


def _find(path: object, *, home: Path, table: Path) -> Path | None:
    """The file below the image root or beside the table; an absolute path stays itself.

    Backslashes of Windows are slashes where no file has them in its name.
    """
    if path is None:
        return None
    written = [str(path)]
    if "\\" in written[0] and os.sep == "/":
        written.append(written[0].replace("\\", "/"))
    places = (folder / text for text in written for folder in (home, table.parent))
    return next((_tidy(place) for place in places if _is_file(place)), None)


def _tidy(path: Path) -> Path:
    """Without "..", unless a link makes that another file."""
    tidy = os.path.normpath(path)
    same = ".." not in path.parts or (_is_file(Path(tidy)) and os.path.samefile(tidy, path))
    return Path(tidy) if same else path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _missing_key(path: object, home: Path) -> str:
    return str(home / str(path).replace("\\", "/"))


def _why_missing(path: object, table: Path) -> str:
    reason = f"a row of {table.name} without an image"
    if str(path)[1:3] in (":\\", ":/") or str(path).startswith("\\\\"):
        return f"{reason} (an absolute path of Windows: make it relative to data.root)"
    return reason


def _refuse_twice(paths: list[str], table: Path) -> None:
    twice = sorted(path for path, rows in Counter(paths).items() if rows > 1)
    if twice:
        raise UserError(
            f"folder: {table} names each image once; {len(twice)} stand in several rows: "
            f"{', '.join(twice[:10])}"
        )


def _unlisted(rows: list[Row], *, home: Path, table: Path) -> dict[str, str]:
    """Images that lie beside those of the table without standing in it."""
    known = {str(row[kind]) for row in rows for kind in ("path", "mask") if row.get(kind)}
    folders = sorted({os.path.dirname(str(row["path"])) for row in rows})
    left = {}
    for folder in folders:
        for name in survey(Path(folder), deep=False).files:
            file = os.path.join(folder, name)
            if file not in known:
                left[os.path.relpath(file, home)] = f"not in {table.name}"
    return left
