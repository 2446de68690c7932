"""Where an image holds picture, and where it is only the black around a cut-out cell."""

import cv2
import numpy as np

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
    surround = reached_from_border(black)
    if np.count_nonzero(surround) < LEAST_SHARE * black.size:
        return np.ones(black.shape, dtype=bool)
    return ~surround


def reached_from_border(region: np.ndarray) -> np.ndarray:
    """The parts of an (H, W) bool region that hold a pixel of the border, joined by edges."""
    ground = cv2.copyMakeBorder(region.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    if max(ground.shape) < 1 << 16:  # floodFill counts rows and columns in 16 bits
        cv2.floodFill(ground, None, (0, 0), 2)  # the added rim of 1 px leads to all of them
        return ground[1:-1, 1:-1] == 2
    _, areas = cv2.connectedComponents(ground, connectivity=4)
    return areas[1:-1, 1:-1] == areas[0, 0]


def bounding_box(mask: np.ndarray, *, margin: int = 0) -> tuple[slice, slice]:
    """The smallest box of rows and columns that holds an (H, W) bool mask, which is not empty.

    margin : px to add on every side, as far as the image goes
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )
