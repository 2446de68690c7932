"""Your own images: a folder per class, a flat folder, or a table of paths and labels."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from oadls.data.sources.listing import existing_folder, find_images, first_of_each_name, name_of
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError

log = logging.getLogger(__name__)

REQUIRED = ("path", "label")
KNOWN = (*REQUIRED, "patient", "part", "mask")

Row = dict[str, object]


def load(
    *,
    root: Path | str,
    table: Path | str | None = None,
    classes: Sequence[str] | None = None,
    labelled: bool = True,
) -> Cells:
    """List the images below `root`.

    table : CSV or Parquet with the columns path and label, and patient, part, mask where known;
        paths are absolute, or relative to root or to the table; an empty label is unknown.
        Without a table the first folder below root is the class, and images that lie in root
        itself have no label
    classes : the labels that are legal; None takes what comes
    labelled : False ignores folder names: no image has a label
    A row of the table without an image is left out and recorded. Patients come from the table
    only: without it no split can keep a patient's cells together.
    raises UserError without an image, for an unknown class, for missing columns, for images both
        in root and in class folders, and for an image named twice in the table
    """
    home = existing_folder(root, source="folder")
    if table is not None:
        rows, excluded = _from_table(Path(table).expanduser().absolute(), home=home)
    else:
        rows, excluded = _from_folders(home, labelled=labelled)
    if not rows:
        raise UserError(f"folder: at least one image, {home} has none{_some(excluded)}")
    _check_classes(rows, classes)
    return make_cells(rows, excluded, source="folder")


def _from_folders(home: Path, *, labelled: bool) -> tuple[list[Row], dict[str, str]]:
    paths, excluded = first_of_each_name(find_images(home), home)
    flat = [path for path in paths if path.parent == home]
    if labelled and flat and len(flat) < len(paths):
        raise UserError(
            f"folder: images lie in class folders or all in {home}, not both; "
            f"{len(flat)} of {len(paths)} lie in it, {flat[0].name} first"
        )
    rows: list[Row] = []
    for path in paths:
        label = path.relative_to(home).parts[0] if labelled and not flat else None
        rows.append({"path": path, "name": name_of(path, home), "label": label})
    return rows, excluded


def _from_table(table: Path, *, home: Path) -> tuple[list[Row], dict[str, str]]:
    rows: list[Row] = []
    excluded: dict[str, str] = {}
    for entry in _read_table(table):
        path = _find(entry["path"], home=home, table=table)
        if path is None:
            excluded[str(home / str(entry["path"]))] = f"a row of {table.name} without an image"
            continue
        mask = _find(entry.get("mask"), home=home, table=table)
        name = name_of(path, home) if path.is_relative_to(home) else path.with_suffix("").as_posix()
        rows.append(entry | {"path": path, "name": name, "mask": mask})
    unlisted = (
        set(find_images(home)) - {row["path"] for row in rows} - {row["mask"] for row in rows}
    )
    if unlisted:
        log.info("folder: %d images of %s are not in %s", len(unlisted), home, table.name)
    _refuse_twice([str(row["path"]) for row in rows], table)
    return rows, excluded


def _read_table(path: Path) -> list[Row]:
    """The known columns as text, None where empty."""
    if not path.is_file():
        raise UserError(f"folder: data.table is a CSV or Parquet file, {path} is not there")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        else:  # as text: a patient 007 keeps its zeros; "NA" may be a class
            mark = _delimiter(path)
            frame = pd.read_csv(
                path, dtype=str, keep_default_na=False, sep=mark, encoding="utf-8-sig"
            )
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise UserError(f"folder: {path} is not a readable table: {error}") from error
    frame = frame.rename(columns=lambda column: str(column).strip())
    if missing := [c for c in REQUIRED if c not in frame.columns]:
        came = ", ".join(map(str, frame.columns))
        raise UserError(
            f"folder: {path} has the columns path and label; "
            f"{', '.join(missing)} missing, its columns are {came}"
        )
    columns = [c for c in KNOWN if c in frame.columns]
    rows: list[Row] = [
        {column: _text(value) for column, value in zip(columns, values, strict=True)}
        for values in frame[columns].itertuples(index=False, name=None)
    ]
    if empty := [number for number, row in enumerate(rows, start=1) if row["path"] is None]:
        raise UserError(f"folder: every row of {path} has a path, row {empty[0]} has none")
    return rows


def _delimiter(path: Path) -> str:
    """Of the marks that spreadsheets write, the one that stands most often in the header."""
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return max(",;\t", key=header.count)


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or value != value:  # NaN differs from itself
        return None
    if isinstance(value, float) and value.is_integer():  # integers beside an empty cell
        value = int(value)
    return str(value).strip() or None


def _find(path: object, *, home: Path, table: Path) -> Path | None:
    if path is None:
        return None
    places = (home / str(path), table.parent / str(path))  # an absolute path stays itself
    return next((place for place in places if place.is_file()), None)


def _refuse_twice(paths: list[str], table: Path) -> None:
    twice = sorted(path for path, rows in Counter(paths).items() if rows > 1)
    if twice:
        raise UserError(
            f"folder: {table} names each image once; {len(twice)} stand in several rows: "
            f"{', '.join(twice[:10])}"
        )


def _check_classes(rows: list[Row], classes: Sequence[str] | None) -> None:
    if classes is None:
        return
    for row in rows:
        if row["label"] is not None and row["label"] not in classes:
            raise UserError(
                f"folder: classes are {', '.join(classes)}; {row['path']} has {row['label']}"
            )
    absent = [c for c in classes if c not in {row["label"] for row in rows}]
    if absent:
        log.warning("folder: no image of class %s", ", ".join(absent))


def _some(excluded: dict[str, str]) -> str:
    return "".join(f"\n  {path}: {reason}" for path, reason in list(excluded.items())[:10])
