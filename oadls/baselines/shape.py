"""Shape, colour and texture of a segmented cell: the features of the GAO row of Table 3.

Tuba & Tuba (2019) describe shape and texture of the segmented cell to a support vector machine;
which measures exactly could not be found, so these are the usual ones of the field.
"""

import math

import cv2
import numpy as np
from skimage.feature import graycoprops
from skimage.measure import regionprops

from oadls.baselines.cooccurrence import cooccurrence
from oadls.segment.measure import NUCLEUS, measure

# What `measure` says of the cell itself: the background is no shape, the sharpness is the focus.
MEASURED = (
    "cell_area", "nucleus_area", "cytoplasm_area", "nc_ratio",
    "cell_perimeter", "cell_solidity", "cell_eccentricity",
    "nucleus_perimeter", "nucleus_solidity", "nucleus_eccentricity",
    *(f"{part}_mean_{band}" for part in ("cell", "nucleus", "cytoplasm") for band in "rgb"),
)  # fmt: skip
FORMS = ("form_factor", "elongation", "extent")
TEXTURES = ("contrast", "correlation", "homogeneity", "energy", "entropy")


def shape_and_texture(image: np.ndarray, mask: np.ndarray, *, levels: int = 32) -> dict[str, float]:
    """Describe a segmented cell in numbers that are always finite.

    image : (H, W, 3) uint8 RGB
    mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus; cell = nucleus | cytoplasm
    levels : steps of gray in the co-occurrence matrix
    returns in this order, 0 for whatever is said of a part that is absent:
        MEASURED                              as in oadls.segment.measure
        {cell,nucleus}_{FORMS}                as in `form`
        {cell,nucleus,cytoplasm}_std_{r,g,b}  0 to 127.5
        cell_{TEXTURES}                       as in `texture`
    raises ValueError for arrays of another shape or type, or a mask with another code
    """
    facts = measure(image, mask)
    features = {name: facts[name] for name in MEASURED}
    cell, nucleus = mask > 0, mask == NUCLEUS
    parts = {"cell": cell, "nucleus": nucleus, "cytoplasm": cell & ~nucleus}
    for name in ("cell", "nucleus"):
        found = form(parts[name], perimeter=facts[f"{name}_perimeter"])
        features |= {f"{name}_{key}": value for key, value in found.items()}
    for name, part in parts.items():
        spread = image[part].std(axis=0) if part.any() else np.zeros(3)  # (3,)
        features |= {f"{name}_std_{band}": float(s) for band, s in zip("rgb", spread, strict=True)}
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found = texture(gray, cell, levels=levels)
    features |= {f"cell_{key}": value for key, value in found.items()}
    return {name: 0.0 if math.isnan(value) else value for name, value in features.items()}


def form(part: np.ndarray, *, perimeter: float) -> dict[str, float]:
    """Form of an (H, W) bool object whose perimeter is known, px; zeros when it is empty.

    form_factor : 4π area / perimeter², about 1 for a disk, less for a ragged outline; 0 for an
        object without extent
    elongation : 1 - minor / major axis of the ellipse with the same moments, 0 to 1
    extent : area / area of the bounding box, 0 to 1
    """
    if not part.any():
        return dict.fromkeys(FORMS, 0.0)
    (region,) = regionprops(part.astype(np.uint8))
    major = region.axis_major_length
    return {
        "form_factor": 4 * math.pi * float(region.area) / perimeter**2 if perimeter else 0.0,
        "elongation": 1 - float(region.axis_minor_length / major) if major else 0.0,
        "extent": float(region.extent),
    }


def texture(gray: np.ndarray, part: np.ndarray, *, levels: int) -> dict[str, float]:
    """Texture of an (H, W) uint8 picture within (H, W) bool: neighbours 1 px apart.

    returns contrast, correlation, homogeneity, energy (root of the angular second moment) and
        entropy (nats), each the mean of four angles, for a cell on a slide has no upper side;
        zeros when no two pixels of the part are neighbours
    """
    counts = cooccurrence(gray, part, distances=(1,), levels=levels)  # (L, L, 1, 4)
    counted = counts.sum(axis=(0, 1))[0] > 0  # (4,): a part may be too narrow for an angle
    if not counted.any():
        return dict.fromkeys(TEXTURES, 0.0)
    return {name: float(graycoprops(counts, name)[0, counted].mean()) for name in TEXTURES}
