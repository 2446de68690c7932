"""Jiangxi Tecom (Zheng et al. 2018): 300 white blood cells of five kinds, with masks."""

from pathlib import Path

import pandas as pd

from oadls.data.sources.listing import (
    existing_folder,
    find_masks,
    first_of_each_name,
    name_of,
    survey,
)
from oadls.data.sources.text_table import read_text_table
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError

LABELS = {1: "neutrophil", 2: "lymphocyte", 3: "monocyte", 4: "eosinophil", 5: "basophil"}
LABEL_FILE = "class-labels.csv"


def load(*, root: Path | str, masks: str | None = "masks") -> Cells:
    """List the cells of `<root>/images`, labelled by `<root>/class-labels.csv`. No patients known.

    masks : folder below root with a PNG of each cell's name; where there is none, no mask
    An image without a label and a label without an image are left out and recorded.
    raises UserError without images or without a readable label file
    """
    home = existing_folder(root, source="wbc_jtsc")
    images = home / "images"
    labels = _read_labels(home / LABEL_FILE)
    listing = survey(images)
    paths, excluded = first_of_each_name(listing.paths, images)
    if not paths:
        raise UserError(f"wbc_jtsc: images are in {images}, there is none")
    truth = find_masks(home / masks if masks else None, [name_of(p, images) for p in paths])
    rows = []
    for path in paths:
        name = name_of(path, images)
        number = int(path.stem) if path.stem.isdecimal() else None
        if number not in labels:
            excluded[str(path)] = f"no label in {LABEL_FILE}"
            continue
        label = labels.pop(number)
        rows.append({"path": path, "name": name, "label": label, "mask": truth.get(name)})
    for number in labels:
        excluded[str(images / f"{number:03d}")] = f"a label in {LABEL_FILE} without an image"
    return make_cells(rows, excluded, source="wbc_jtsc", left=listing.left)


def _read_labels(path: Path) -> dict[int | None, str]:
    """Image number -> kind of cell."""
    if not path.is_file():
        raise UserError(f"wbc_jtsc: labels are in {path}, which is not there")
    table = read_text_table(path, source="wbc_jtsc")
    if list(table.columns) != ["image ID", "class label"]:
        raise UserError(
            f"wbc_jtsc: {path} has the columns image ID, class label, not {list(table)}"
        )
    numbers = pd.to_numeric(table["image ID"], errors="coerce")
    kinds = pd.to_numeric(table["class label"], errors="coerce").map(LABELS)
    wrong = table[numbers.isna() | (numbers % 1 != 0) | kinds.isna() | numbers.duplicated()]
    if len(wrong):
        raise UserError(
            f"wbc_jtsc: {path} gives each image once a class of 1 to 5; "
            f"found {', '.join(wrong.iloc[0])}"
        )
    return dict(zip(numbers.astype(int), kinds, strict=True))
