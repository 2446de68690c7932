"""The window of an image that the network sees, and what of it is shown."""

from typing import Literal

import cv2
import numpy as np

Keep = Literal["cell", "everything", "background"]


def crop(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    keep: Keep = "cell",
    cut: bool = True,
    size: int = 260,
    window: float | None = None,
    margin: float = 0.1,
) -> tuple[np.ndarray, np.ndarray]:
    """Show the cell, its surround or both, in a square window round the cell or as a whole.

    image : (H, W, 3) uint8 RGB
    mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus
    keep : "cell" blackens everything but the cell. "everything" shows the image as it is.
        "background" paints the cell in the mean colour around it: what is left is the floor. The
        patch keeps the size of the cell; the audit hides the same disc round every cell instead
    cut : a window round the cell; False shows the whole image
    size : side of the result in px
    window : side of the window in px of the image. A fixed window keeps the true size of the cell
        visible (a cell larger than it is shrunk to fit); None fits every cell by its own size
    margin : free space round the cell as a fraction of its longer side, when window is None
    returns (size, size, 3) uint8 RGB and (size, size) uint8 mask
    """
    cell = mask > 0
    if keep == "background":
        image = _paint_over(image, cell)
    height, width = cell.shape
    centre, side = np.array([(width - 1) / 2, (height - 1) / 2]), float(max(height, width))
    if cut:
        centre, longest = _centre_and_length(cell)
        side = (1 + margin) * longest if window is None else max(window, 1.02 * longest)
    return _resample(image, mask, centre=centre, side=side, size=size, cell_only=keep == "cell")


def _centre_and_length(cell: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (x, y) and longer side of the bounding box, px."""
    rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
    centre = np.array([(columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2])
    return centre, float(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1)


def _paint_over(image: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Hide the cell and its halo under the mean colour of what remains."""
    halo = max(3, cell.shape[0] // 30)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * halo + 1, 2 * halo + 1))
    hidden = cv2.dilate(cell.astype(np.uint8), kernel) > 0
    if hidden.all():
        return np.zeros_like(image)
    painted = image.copy()
    painted[hidden] = image[~hidden].mean(axis=0).round()
    return painted


def _resample(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    centre: np.ndarray,
    side: float,
    size: int,
    cell_only: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Affine window; blurred first when it shrinks, so that fine texture does not alias."""
    scale = size / side
    sigma = 0.5 * np.sqrt(max(1 / scale**2 - 1, 0))
    reach = side / 2 + 4 * sigma + 4  # of the window, the blur and the cubic
    left, top = np.maximum(np.floor(centre - reach), 0).astype(int)
    right, bottom = np.ceil(centre + reach).astype(int) + 1
    read = (slice(top, bottom), slice(left, right))
    part = cv2.bitwise_and(image[read], image[read], mask=mask[read]) if cell_only else image[read]
    if sigma > 0.3:
        part = cv2.GaussianBlur(part, (0, 0), sigmaX=sigma)
    image = np.zeros_like(image)
    image[read] = part
    shift = (size - 1) / 2 - scale * centre
    affine = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    shown = cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_CUBIC)
    codes = cv2.warpAffine(mask, affine, (size, size), flags=cv2.INTER_NEAREST)
    return shown, codes
