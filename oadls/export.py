"""Masks, preprocessed images and contact sheets as files, in a folder that holds nothing else."""

import functools
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from oadls.data.read import read_image
from oadls.errors import UserError
from oadls.names import places
from oadls.parallel import run_blocks
from oadls.pipeline import Pipeline
from oadls.publish import publish_table
from oadls.report.pictures import contact_sheet

KINDS = ("masks", "images", "sheets")
TABLE = "cells.csv"
MARK = "exported"  # a column of TABLE that no other table has


def check_folder(folder: Path, *, root: str | None, listed: bool) -> None:
    """UserError where an export would replace other files, or become images of the next run.

    root : data.root, where there is one; listed : whether a table says which images count
    """
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        raise UserError(f"export: a folder, {nearest} is a file")
    home = None if root is None or listed else _identity(Path(root).expanduser())
    if home is not None and home in set(_identities(nearest)):
        raise UserError(
            f"export: {folder} lies in data.root, {root}, where its images would be taken for "
            "cells; give a folder outside"
        )
    found = [name for name in (TABLE, *KINDS) if os.path.lexists(folder / name)]
    if found and not _is_export(folder / TABLE):
        raise UserError(
            f"export: {folder} holds {', '.join(found)}, left by no earlier export; "
            "give a new or an empty folder"
        )


def export(
    table: pd.DataFrame, pipeline: Pipeline, folder: Path, *, inputs: Iterable[str] = ()
) -> None:
    """Write masks/PLACE, images/PLACE (preprocessed) and sheets/PLACE of every image.

    cells.csv has the PLACE of each in the column `exported`: the name of the cell wherever that
    is a name that no other file has. Nothing is written outside the folder.

    inputs : what was read beside images and masks
    raises UserError where images lie in the folder, or a link in it leads elsewhere
    """
    found = places(table["name"].tolist(), suffix=".png")
    _refuse_inputs(folder, [*table["path"], *table["mask"].dropna(), *inputs])
    _refuse_links(folder, {Path(kind, place).parent for kind in KINDS for place in found})
    folder.mkdir(parents=True, exist_ok=True)
    told = table.drop(columns="detail_hash").assign(**{MARK: [str(place) for place in found]})
    publish_table(folder / TABLE, told)
    write = functools.partial(_export, pipeline=pipeline, folder=folder)
    run_blocks(write, list(zip(table["path"], found, strict=True)), title="Exporting")


def _export(block: Sequence[tuple[str, Path]], *, pipeline: Pipeline, folder: Path) -> None:
    """The pictures of each (path, place)."""
    for path, place in block:
        stages = pipeline.stages(read_image(Path(path)))
        pictures = (stages.mask, stages.enhanced, contact_sheet(stages))
        for kind, picture in zip(KINDS, pictures, strict=True):
            _save(picture, folder / kind / place)


def _save(picture: np.ndarray, file: Path) -> None:
    """By a rename, which replaces a link and does not write through it."""
    draft = file.with_name(f".{uuid.uuid4().hex}.png")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(draft)
        draft.replace(file)
    except OSError as error:
        raise UserError(f"export: {file} cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


def _is_export(table: Path) -> bool:
    if table.is_symlink() or not table.is_file():
        return False
    with table.open(encoding="utf-8", errors="replace") as file:
        return MARK in file.readline().rstrip("\n").split(",")


def _refuse_inputs(folder: Path, inputs: Iterable[str]) -> None:
    """Compared by what the disk says, not by spelling: links, mounts and case do not hide them."""
    ours = {_identity(place) for place in (folder, *(folder / kind for kind in KINDS))} - {None}
    homes: dict[str, str] = {}
    for path in inputs:
        for each in {path, os.path.realpath(path)} if os.path.islink(path) else {path}:
            homes.setdefault(os.path.dirname(os.path.abspath(each)), path)
    for home, first in homes.items():
        if ours & set(_identities(Path(home))):
            raise UserError(f"export: {folder} holds files that are read, {first}; give another")


def _refuse_links(folder: Path, homes: Iterable[Path]) -> None:
    for part in {part for home in homes for part in (home, *home.parents) if part.name}:
        if (folder / part).is_symlink():
            raise UserError(
                f"export: {folder / part} is a link to {(folder / part).resolve()}; "
                "give a folder without links"
            )


def _identities(folder: Path) -> Iterator[tuple[int, int] | None]:
    """Of a folder and all that it lies in, by its own path and by that without links."""
    for place in {folder.absolute(), folder.resolve()}:
        for each in (place, *place.parents):
            yield _identity(each)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells files of a machine apart; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
