"""ALL-IDB2 (Labati et al. 2011): 260 single cells, half of them lymphoblasts. No patients known."""

import re
from pathlib import Path

from oadls.data.sources.listing import (
    existing_folder,
    find_masks,
    first_of_each_name,
    name_of,
    survey,
)
from oadls.data.table import Cells, make_cells
from oadls.errors import UserError

NAME = re.compile(r"Im\d+_([01])")
LABELS = {"1": "all", "0": "normal"}


def load(*, root: Path | str, masks: str | None = "masks") -> Cells:
    """List the cells of `<root>/images`, labelled by their names: Im001_1 is ALL.

    masks : folder below root with a PNG of each cell's name; where there is none, no mask
    A file with any other name is left out and recorded.
    raises UserError when there is no such folder or no image in it
    """
    home = existing_folder(root, source="all_idb2")
    images = home / "images"
    listing = survey(images)
    paths, excluded = first_of_each_name(listing.paths, images)
    if not paths:
        raise UserError(f"all_idb2: images are in {images}, there is none")
    truth = find_masks(home / masks if masks else None, [name_of(p, images) for p in paths])
    rows = []
    for path in paths:
        name = name_of(path, images)
        match = NAME.fullmatch(path.stem)
        if match is None:
            excluded[str(path)] = "the name is not Im<number>_<0 or 1>"
            continue
        label = LABELS[match[1]]
        rows.append({"path": path, "name": name, "label": label, "mask": truth.get(name)})
    return make_cells(rows, excluded, source="all_idb2", left=listing.left)
