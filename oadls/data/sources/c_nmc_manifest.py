"""C-NMC 2019 without its images: a list of its files is enough to see who stands where."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd

from oadls.data.sources.c_nmc import FOLDERS, LABELS, NAME
from oadls.data.sources.text_table import read_text_table
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError

log = logging.getLogger(__name__)

COLUMNS = ("path", "sha256", "size")
PARTS = {folder: part for part, folder in FOLDERS.items()}
TOP = "C-NMC_Leukemia/"


def load(*, manifest: Path | str, labels: Path | str | None = None) -> Cells:
    """List the cells of a manifest; their content is the sha256 of the file.

    manifest : tab-separated path, sha256, size; may be gzipped
    labels : the published label file of the preliminary test, which knows the real names of its
        numbered files; without it these have neither patient nor label
    returns cells whose table has pixels_sha256: equal for byte-identical files. Copies that were
        encoded anew are not found without images
    raises UserError for a manifest that is not there or has other columns
    """
    files = _read(manifest, columns=COLUMNS)
    images = files[files["path"].str.endswith(".bmp")]
    digests = {
        path.removeprefix(TOP).removesuffix(".bmp"): digest
        for path, digest in zip(images["path"], images["sha256"], strict=True)
    }
    real_names = _real_names(labels)
    rows = [
        {"path": f"{TOP}{name}.bmp", "name": name} | _describe(name, real_names=real_names)
        for name in digests
    ]
    if not rows:
        raise UserError(f"c_nmc_manifest: {manifest} lists .bmp files, there is none")
    cells = make_cells(rows, {}, source="c_nmc")
    table = cells.table.assign(pixels_sha256=cells.table["name"].map(digests))
    return replace(cells, table=table)


def _describe(name: str, *, real_names: dict[str, str]) -> dict[str, str | None]:
    """Part from the folder, patient and label from the name of the file."""
    folder = name.rsplit("/", 1)[0]
    part = PARTS.get(folder) or PARTS.get(folder.rsplit("/", 1)[0])  # fold_0, or fold_0/all
    match = NAME.fullmatch(real_names.get(name, name).rsplit("/", 1)[-1])
    patient, label = (match[1].upper(), LABELS[match[2]]) if match else (None, None)
    return {"part": part, "patient": patient, "label": label}


def _real_names(labels: Path | str | None) -> dict[str, str]:
    """Name of a numbered cell of the preliminary test -> the stem that tells patient and class."""
    if labels is None or not Path(labels).is_file():
        log.warning("c_nmc_manifest: no label file, patients of part prelim are not known")
        return {}
    table = _read(labels, columns=("Patient_ID", "new_names"))
    stems = table.map(lambda file: Path(file).stem)
    folder = FOLDERS["prelim"]
    return {f"{folder}/{new}": real for real, new in stems[["Patient_ID", "new_names"]].to_numpy()}


def _read(path: Path | str, *, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_text_table(path, source="c_nmc_manifest")
    if missing := [c for c in columns if c not in table.columns]:
        raise UserError(
            f"c_nmc_manifest: {path} has the columns {', '.join(columns)}; "
            f"{', '.join(missing)} missing"
        )
    return table
