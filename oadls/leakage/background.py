"""Pictures of everything but the cell, in which its size cannot be seen either.

A cell that is painted over leaves a smooth patch of its own size, from which a network reads how
large it was. So a disc of the same radius is hidden round every cell.
"""

import cv2
import numpy as np
import pandas as pd

from oadls.leakage.confounds import is_cut_out
from oadls.segment.crop import crop

COVERED = 0.95  # share of the cells that the disc covers; a badly segmented one must not set it
CUT_OUT = 0.9  # share of the images on black from which there is no background to look at
LEAST_SEEN = 0.1  # of the picture that must remain beside the disc


def hide_cell(
    image: np.ndarray, mask: np.ndarray, *, radius: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The whole image with a disc round the cell painted in the mean colour of the rest.

    image (H, W, 3) uint8 RGB; mask (H, W) uint8 code; radius px
    returns (size, size, 3) uint8 RGB and (size, size) uint8 mask of what is hidden
    """
    rows, columns = np.nonzero(mask) if mask.any() else np.indices(mask.shape).reshape(2, -1)
    centre = (round(float(columns.mean())), round(float(rows.mean())))
    hidden = cv2.circle(mask.copy(), centre, round(radius), 128, thickness=-1)
    return crop(image, hidden, keep="background", cut=False, size=size)


def disc_radius(table: pd.DataFrame) -> float:
    """Radius that covers the longer axis of nearly all cells, px."""
    axes = np.sqrt(1 - table["cell_eccentricity"].to_numpy(float) ** 2)  # short / long
    longer = np.sqrt(table["cell_area"].to_numpy(float) / np.pi / np.maximum(axes, 0.1))
    return round(float(np.nanquantile(longer, COVERED)), 1)


def no_background(table: pd.DataFrame) -> str:
    """Why there is no background to look at; empty where there is one."""
    if is_cut_out(table).mean() >= CUT_OUT:
        return "the cells are cut out on black"
    hidden = np.pi * disc_radius(table) ** 2 / (table["height"] * table["width"])
    return "the cells fill the pictures" if hidden.median() > 1 - LEAST_SEEN else ""
