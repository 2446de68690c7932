"""Your own images: a folder per class, a flat folder, or a table of paths and labels."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from oadls.data.labels import (
    forget_unknown,
    name_classes,
    refuse_near_labels,
    rename_labels,
    warn_near_patients,
)
from oadls.data.sources.layout import aside, beside, class_level
from oadls.data.sources.listing import existing_folder, first_of_each_name, name_of, survey
from oadls.data.sources.own_table import list_table
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError

log = logging.getLogger(__name__)

Row = dict[str, object]
Left = dict[str, str]


def load(
    *,
    root: Path | str,
    table: Path | str | None = None,
    columns: Mapping[str, object] | None = None,
    classes: Sequence[object] | None = None,
    class_folder: int | None = None,
    rename: Mapping[Any, object] | Sequence[Sequence[object]] | None = None,
    missing: Collection[object] | None = None,
) -> Cells:
    """List the images below `root`.

    table : CSV or Parquet with the columns path and label, and patient, part, mask where known;
        paths are absolute, or relative to root or to the table; an empty label is unknown.
        Without a table a folder is the class, and images that lie in root itself have no label
    columns : our name of a column -> its name in the table, False for one that it does not have
    classes : the labels that are legal; None takes what comes
    class_folder : which folder of root/1/2/image names the class; 0 for none: no image has a label.
        None takes the first, and asks where that is doubtful. Folders above it become the part
    rename : a label as it stands in folders or table -> the class that is meant, or lists of
        labels that are one class, called as the first
    missing : words that stand for a label or patient that is not known; None asks where such a
        word (NA, none, unknown) is found
    A row of the table without an image is left out and recorded. Patients come from the table
    only: without it no split can keep a patient's cells together.
    raises UserError without an image, for an unknown class, for missing columns, for images both
        in root and in class folders, for an image named twice in the table, and where it is
        doubtful what folders, columns or labels mean
    """
    home = existing_folder(root, source="folder")
    if table is not None:
        path = Path(table).expanduser().absolute()
        rows, excluded, left = list_table(path, home=home, columns=columns or {})
    else:
        rows, excluded, left = _list_folders(home, class_folder=class_folder, classes=classes)
    if not rows:
        raise UserError(f"folder: at least one image, {home} has none{_some(excluded | left)}")
    _name_labels(rows, classes=classes, rename=rename, missing=missing)
    return make_cells(rows, excluded, source="folder", left=left)


def _list_folders(
    home: Path, *, class_folder: int | None, classes: Sequence[object] | None
) -> tuple[list[Row], dict[str, str], Left]:
    """Rows of a tree of folders, files of a name that is taken, and what is no cell."""
    listing = survey(home)
    listing.left |= beside(listing.files)
    files = [name for name in listing.files if name not in listing.left]
    firsts = {name.split("/")[0] for name in files}
    named = name_classes(classes, firsts) if classes else None
    level = class_level(files, home=home, class_folder=class_folder, classes=named)
    if level:
        listing.left |= aside(files, level=level)
        files = [name for name in files if name not in listing.left]
    paths, excluded = first_of_each_name([home / name for name in files], home)
    rows: list[Row] = []
    for path in paths:
        name = name_of(path, home)
        above = name.split("/")[:level]
        row: Row = {"path": path, "name": name, "label": above[-1] if above else None}
        rows.append(row | {"part": "/".join(above[:-1]) or None})
    _warn_versions(rows, level=level)
    full = {str(PurePosixPath(*file.split("/")[:level])) for file in files}
    for folder in listing.folders:
        if level and folder.count("/") == level - 1 and folder not in full:
            listing.left.setdefault(f"{folder}/", "no image in it")
    return rows, excluded, listing.left


def _name_labels(
    rows: list[Row],
    *,
    classes: Sequence[object] | None,
    rename: Mapping[Any, object] | Sequence[Sequence[object]] | None,
    missing: Collection[object] | None,
) -> None:
    """Give the rows the labels and patients that are meant, or ask."""
    renamed = rename_labels([_text(row["label"]) for row in rows], rename)
    found = {label for label in renamed if label is not None}
    named = name_classes(classes, found) if classes else []
    known = forget_unknown(renamed, column="label", missing=missing, named=named)
    refuse_near_labels(known, named=named)
    people = forget_unknown(
        [_text(row.get("patient")) for row in rows], column="patient", missing=missing
    )
    warn_near_patients(people)
    for row, label, patient in zip(rows, known, people, strict=True):
        row |= {"label": label, "patient": patient}
    if classes is not None:
        _check_classes(rows, named)


def _check_classes(rows: list[Row], classes: Sequence[str]) -> None:
    for row in rows:
        if row["label"] is not None and row["label"] not in classes:
            raise UserError(
                f"folder: classes are {', '.join(classes)}; {row['path']} has {row['label']}"
            )
    absent = [c for c in classes if c not in {row["label"] for row in rows}]
    if absent:
        log.warning("folder: no image of class %s", ", ".join(absent))


def _warn_versions(rows: list[Row], *, level: int) -> None:
    """Say it where the same names stand below several folders above the classes."""
    if level < 2:
        return
    below = Counter("/".join(str(row["name"]).split("/")[level - 1 :]) for row in rows)
    again = sorted(name for name, times in below.items() if times > 1)
    if again:
        log.warning(
            "folder: %d images stand under one name in several folders, such as %s: if these are "
            "one cell in several versions, take one folder alone (data.root)",
            *(len(again), again[0]),
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _some(left: Mapping[str, str]) -> str:
    return "".join(f"\n  {path}: {reason}" for path, reason in list(left.items())[:10])
