"""C-NMC 2019 (Gupta et al.): cells of ALL patients and healthy people, cut out on black.

Patients are known: they stand in the file names. Two numbers of one person exist, see
`oadls.data.duplicates`.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from oadls.data.sources.c_nmc_files import BY_HAND, download, verify_whole
from oadls.data.sources.listing import existing_folder, first_of_each_name, name_of, survey
from oadls.data.sources.text_table import read_text_table
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError

log = logging.getLogger(__name__)

FOLDERS = {
    "fold_0": "training_data/fold_0",
    "fold_1": "training_data/fold_1",
    "fold_2": "training_data/fold_2",
    "prelim": "validation_data/C-NMC_test_prelim_phase_data",
    "final": "testing_data/C-NMC_test_final_phase_data",
}
LABEL_FILE = "validation_data/C-NMC_test_prelim_phase_data_labels.csv"
LABELS = {"all": "all", "hem": "normal"}
ENDINGS = (".bmp", ".png", ".webp")  # bmp as published, the others for lossless copies
NAME = re.compile(r"UID_([Hh]?\d+)_\d+_\d+_(all|hem)")

Row = dict[str, object]


def load(
    *,
    root: Path | str | None,
    parts: Sequence[str] | None = None,
    download: bool = False,
    manifest: Path | str | None = None,
) -> Cells:
    """List the cells of the parts that are there; the final test has no labels.

    root : the folder that contains C-NMC_Leukemia, or that folder; unused when downloading
    parts : of fold_0, fold_1, fold_2, prelim, final; None takes what is there and logs it
    download : fetch the set from Kaggle first and check every file
    manifest : path, sha256 and size of every file (tab-separated), to check the download against
    An image without a label, a label without an image and a name that contradicts its folder are
    left out and recorded.
    raises UserError when a part asked for has no image, or there is none at all
    """
    home = _fetch(manifest) if download else _home(root)
    unknown = sorted(set(parts or []) - set(FOLDERS))
    if unknown:
        raise UserError(f"c_nmc: parts are {', '.join(FOLDERS)}, not {', '.join(unknown)}")
    rows: list[Row] = []
    excluded: dict[str, str] = {}
    left: dict[str, str] = {}
    for part in parts if parts is not None else FOLDERS:
        found = _list_part(part, home=home, excluded=excluded, left=left)
        if not found and parts is not None:
            raise UserError(f"c_nmc: part {part} has no usable image in {home / FOLDERS[part]}")
        log.info("c_nmc: part %s has %d images", part, len(found))
        rows += found
    if not rows:
        raise UserError(f"c_nmc: {home} has no image of any part.\n{BY_HAND}")
    return make_cells(rows, excluded, source="c_nmc", left=left)


def _home(root: Path | str | None) -> Path:
    if root is None:
        raise UserError(f"c_nmc: data.root is the folder of the data set, it is empty.\n{BY_HAND}")
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"c_nmc: data.root is a folder, {folder} is not.\n{BY_HAND}")
    return folder / "C-NMC_Leukemia" if (folder / "C-NMC_Leukemia").is_dir() else folder


def _fetch(manifest: Path | str | None) -> Path:
    home = _home(download())
    verify_whole(home, manifest=manifest)
    return existing_folder(home, source="c_nmc")


def _list_part(
    part: str, *, home: Path, excluded: dict[str, str], left: dict[str, str]
) -> list[Row]:
    """Rows of one part; adds what is no cell to `excluded`, and what is no image to `left`."""
    folder = home / FOLDERS[part]
    listing = survey(folder, endings=ENDINGS)
    left |= {f"{FOLDERS[part]}/{name}": reason for name, reason in listing.left.items()}
    paths, others = first_of_each_name(listing.paths, home, endings=ENDINGS)
    excluded |= others
    if part == "prelim":
        return _list_prelim(paths, home=home, excluded=excluded)
    if part == "final":
        return [{"path": p, "name": name_of(p, home), "part": part} for p in paths]
    rows = []
    for path in paths:
        try:
            patient, label = _read_name(path.stem, expected=path.relative_to(folder).parts[0])
        except ValueError as error:
            excluded[str(path)] = str(error)
            continue
        row = {"path": path, "name": name_of(path, home), "label": label, "patient": patient}
        rows.append(row | {"part": part})
    return rows


def _list_prelim(paths: list[Path], *, home: Path, excluded: dict[str, str]) -> list[Row]:
    """Files are numbered; the label file knows their real names."""
    if not paths:
        return []
    labels = _read_labels(home / LABEL_FILE)
    rows = []
    for path in paths:
        if path.stem not in labels:
            excluded[str(path)] = f"no row in {Path(LABEL_FILE).name}"
            continue
        real_name, number = labels.pop(path.stem)
        try:
            patient, label = _read_name(real_name, expected="all" if number == "1" else "hem")
        except ValueError as error:
            excluded[str(path)] = str(error)
            continue
        row = {"path": path, "name": name_of(path, home), "label": label, "patient": patient}
        rows.append(row | {"part": "prelim"})
    if len(labels) > len(rows):  # a few cells of the part were given on purpose
        log.warning("c_nmc: part prelim is partial, %d of its images are missing", len(labels))
    else:
        for stem in labels:
            missing = home / FOLDERS["prelim"] / f"{stem}.bmp"
            excluded[str(missing)] = "a label without an image"
    return rows


def _read_labels(path: Path) -> dict[str, tuple[str, str]]:
    """Number of the file -> its real name and "1" for ALL, "0" for healthy."""
    if not path.is_file():
        raise UserError(f"c_nmc: the labels of part prelim are in {path}, which is not there")
    table = read_text_table(path, source="c_nmc")
    columns = ["Patient_ID", "new_names", "labels"]
    if missing := [c for c in columns if c not in table.columns]:
        raise UserError(f"c_nmc: {path} has the columns {columns}, {missing} missing")
    wrong = table[table["new_names"].duplicated() | ~table["labels"].isin(["0", "1"])]
    if len(wrong):
        raise UserError(
            f"c_nmc: {path} gives each image once a label 0 or 1, not {wrong['new_names'].iloc[0]}"
        )
    stems = [Path(name).stem for name in table["new_names"]]
    real_names = [Path(name).stem for name in table["Patient_ID"]]
    return dict(zip(stems, zip(real_names, table["labels"], strict=True), strict=True))


def _read_name(stem: str, *, expected: str) -> tuple[str, str]:
    """Patient and label of "UID_h3_1_2_hem"; ValueError when its class is not the expected one.

    H stays in the patient's name: H12 and 12 are two people; one is also written h3.
    """
    match = NAME.fullmatch(stem)
    if match is None:
        raise ValueError(f"{stem} is not UID_<subject>_<image>_<cell>_<all or hem>")
    token, kind = match[1].upper(), match[2]
    if kind != expected or token.startswith("H") != (kind == "hem"):
        raise ValueError(f"{stem} stands among the images of class {expected}")
    return token, LABELS[kind]
