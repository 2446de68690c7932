"""The drawn data set on disk and its table of cells."""

import functools
import hashlib
import json
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from oadls.data.synthetic.biology import LABELS
from oadls.data.synthetic.patient import draw_patient
from oadls.data.synthetic.picture import draw_cell
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError
from oadls.parallel import run_blocks
from oadls.recipe import code_hash, library_versions


def load(
    *,
    root: Path | str,
    patients: int = 20,
    cells_per_patient: int = 30,
    size: int = 160,
    seed: int = 0,
) -> Cells:
    """The drawn cells; draws them below `root` when they are not there yet.

    root : folder of all drawn sets; each set has its own, named by its settings and this code
    patients : number of patients, every second one with leukemia
    cells_per_patient : pictures of each patient
    size : side of a picture in pixels
    seed : same seed, same bytes; a patient or a cell more leaves the others as they are
    returns cells labelled "all" or "normal", with patient and true mask; none is left out
    raises UserError for settings that give no data set
    """
    if patients < 2 or cells_per_patient < 1:
        raise UserError(
            "synthetic: at least 2 patients and 1 cell each, "
            f"got {patients} patients and {cells_per_patient} cells"
        )
    settings = {"patients": patients, "cells": cells_per_patient, "size": size, "seed": seed}
    folder = Path(root).absolute() / f"synthetic-{fingerprint(settings)}"
    rows = list_cells(folder, patients=patients, cells_per_patient=cells_per_patient)
    cells = make_cells(rows, {}, source="synthetic")
    if not folder.is_dir():
        publish(folder, cells.table, size=size, seed=seed)
    return cells


def fingerprint(settings: dict[str, int]) -> str:
    """A hash of the settings and of the code that draws: change any of it and the name changes."""
    code = [code_hash(__name__), library_versions(("numpy", "scipy"))]
    return hashlib.sha256(json.dumps([settings, code], sort_keys=True).encode()).hexdigest()[:12]


def list_cells(folder: Path, *, patients: int, cells_per_patient: int) -> list[dict[str, object]]:
    """The rows of the set in `folder`, known before anything is drawn."""
    rows: list[dict[str, object]] = []
    for patient in range(patients):
        for cell in range(cells_per_patient):
            name = f"S{patient:02d}/S{patient:02d}_{cell:03d}"
            rows.append(
                {
                    "path": f"{folder}/images/{name}.png",
                    "name": name,
                    "label": LABELS[patient % 2],
                    "patient": f"S{patient:02d}",
                    "mask": f"{folder}/masks/{name}.png",
                }
            )
    return rows


def publish(folder: Path, table: pd.DataFrame, *, size: int, seed: int) -> None:
    """Draw the set beside `folder` and rename it: whoever sees the folder sees all of it."""
    draft = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    try:
        cells = list(zip(table["name"], table["label"], strict=True))
        draw = functools.partial(write_cells, folder=draft, size=size, seed=seed)
        run_blocks(draw, cells, title="Drawing synthetic cells")
        try:
            draft.rename(folder)
        except OSError:  # another process was first; its bytes are the same
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_cells(block: Sequence[tuple[str, str]], *, folder: Path, size: int, seed: int) -> None:
    """Draw the cell of each (name, label); write picture and mask as PNG below `folder`."""
    for name, label in block:
        _write_cell(name, label, folder=folder, size=size, seed=seed)


def _write_cell(name: str, label: str, *, folder: Path, size: int, seed: int) -> None:
    patient, cell = (int(number) for number in name.rpartition("/")[2][1:].split("_"))
    image, mask = draw_cell(
        patient=draw_patient(rng=np.random.default_rng([seed, patient])),
        label=label,
        size=size,
        rng=np.random.default_rng([seed, patient, 1 + cell]),
    )
    for kind, pixels in (("images", image), ("masks", mask)):
        path = folder / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)
