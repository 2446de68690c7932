"""Where an image holds picture, and where it is only the black around a cut-out cell."""

import numpy as np
from scipy import ndimage

LEAST_SHARE = 0.05  # of the image: less black than this at the border is dark picture, no surround


def find_foreground(image: np.ndarray) -> np.ndarray:
    """Find the picture of a cell that was cut out on exactly black, such as those of C-NMC.

    The surround is the exactly black area connected to the border (by edges), when it covers 5 %
    of the image or more. Black inside the cell is picture. An ordinary image, and one that is all
    black, is picture everywhere.

    image : (H, W, 3) uint8 RGB
    returns (H, W) bool, with at least one True
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"find_foreground: the image must be (H, W, 3) uint8 RGB, "
            f"got {image.shape} {image.dtype}"
        )
    black = (image[..., 0] | image[..., 1] | image[..., 2]) == 0  # (H, W)
    if LEAST_SHARE * black.size > np.count_nonzero(black) or black.all():
        return np.ones(black.shape, dtype=bool)
    areas, _ = ndimage.label(black)  # (H, W) int32, 0 where not black
    border = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    touching = np.zeros(areas.max() + 1, dtype=bool)
    touching[border] = True
    touching[0] = False
    surround = touching[areas]
    if np.count_nonzero(surround) < LEAST_SHARE * black.size:
        return np.ones(black.shape, dtype=bool)
    return ~surround


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """The smallest box of rows and columns that holds an (H, W) bool mask, which is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
