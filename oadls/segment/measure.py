"""Size, shape and colour of the nucleus and of the cell, as a hematologist describes them."""

import math

import cv2
import numpy as np
from scipy.spatial import ConvexHull

from oadls.preprocess.foreground import bounding_box

CYTOPLASM, NUCLEUS = 128, 255  # of the mask code; 0 is background
SHAPES = ("perimeter", "solidity", "eccentricity")

# A pixel of the border has 1, one beside it by an edge 2, one by a corner 10.
BORDER_KERNEL = np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], np.float32)
BORDER_LENGTH = np.zeros(50)
BORDER_LENGTH[[5, 7, 15, 17, 25, 27]] = 1
BORDER_LENGTH[[21, 33]] = math.sqrt(2)
BORDER_LENGTH[[13, 23]] = (1 + math.sqrt(2)) / 2


def measure(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Measure a segmented cell.

    image : (H, W, 3) uint8 RGB
    mask  : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus; cell = nucleus | cytoplasm
    returns plain floats under these names, always all of them:
        cell_area, nucleus_area, cytoplasm_area     px
        nc_ratio                                    nucleus area / cell area, 0 to 1
        {cell,nucleus}_perimeter                    px (skimage `perimeter`, 4-neighbourhood)
        {cell,nucleus}_solidity                     area / area of the convex hull, 0 to 1
        {cell,nucleus}_eccentricity                 of the ellipse with the same moments, 0 to 1
        {cell,nucleus,cytoplasm}_mean_{r,g,b}       0 to 255
        background_mean_{r,g,b}                     0 to 255, of what is neither cell nor black
        cell_contrast                               standard deviation of gray in the cell, 0 to 255
        cell_sharpness                              standard deviation of its Laplacian, 0 to 2040
    An absent part has the area 0 and NaN for everything else that is said of it; the lobes of a
    nucleus count as one object.
    raises ValueError for arrays of another shape or type, or a mask with another code
    """
    check_cell(image, mask, step="measure")
    cell = mask > 0
    black = (image[..., 0] | image[..., 1] | image[..., 2]) == 0  # (H, W)
    background = mean_colour(image, ~(cell | black))
    if cell.any():  # the work is in proportion to the cell, not to the image
        box = bounding_box(cell)
        image, mask, cell = image[box], mask[box], cell[box]
    nucleus = mask == NUCLEUS
    parts = {"cell": cell, "nucleus": nucleus, "cytoplasm": cell & ~nucleus}

    facts = {f"{name}_area": float(np.count_nonzero(part)) for name, part in parts.items()}
    whole = facts["cell_area"]
    facts["nc_ratio"] = facts["nucleus_area"] / whole if whole else float("nan")
    for name in ("cell", "nucleus"):
        facts |= {f"{name}_{shape}": value for shape, value in shape_of(parts[name]).items()}
    for name, part in parts.items():
        means = mean_colour(image, part)
        facts |= {f"{name}_mean_{band}": mean for band, mean in zip("rgb", means, strict=True)}
    facts |= {f"background_mean_{band}": m for band, m in zip("rgb", background, strict=True)}
    return facts | quality(image, cell)


def quality(image: np.ndarray, cell: np.ndarray) -> dict[str, float]:
    """How well the picture of a cell can be seen: contrast and sharpness, NaN without a cell.

    The rim takes no part in the sharpness: on a cut-out cell it is the sharpest edge of all.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    inner = cv2.erode(cell.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    inner = inner if inner.any() else cell
    edges = cv2.Laplacian(gray, cv2.CV_32F)
    return {
        "cell_contrast": float(gray[cell].std()) if cell.any() else float("nan"),
        "cell_sharpness": float(edges[inner].std()) if cell.any() else float("nan"),
    }


def shape_of(part: np.ndarray) -> dict[str, float]:
    """Perimeter (px), solidity and eccentricity of an (H, W) bool object; NaN when it is empty."""
    if not part.any():
        return dict.fromkeys(SHAPES, float("nan"))
    return {
        "perimeter": perimeter(part),
        "solidity": int(np.count_nonzero(part)) / hull_area(part),
        "eccentricity": eccentricity(part),
    }


def perimeter(part: np.ndarray) -> float:
    """Length of the border of an (H, W) bool object, px; skimage's `perimeter` (Benkrid 2000).

    Every pixel of the border counts by how its neighbours on the border lie.
    """
    codes = part.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    border = codes - cv2.erode(codes, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    neighbours = cv2.filter2D(border, -1, BORDER_KERNEL, borderType=cv2.BORDER_CONSTANT)
    return float(np.bincount(neighbours.ravel(), minlength=50) @ BORDER_LENGTH)


def eccentricity(part: np.ndarray) -> float:
    """Of the ellipse with the second moments of an (H, W) bool object, 0 to 1; as in skimage."""
    sums = cv2.moments(part.view(np.uint8), binaryImage=True)  # of whole numbers, hence exact
    n, x, y = (int(sums[name]) for name in ("m00", "m10", "m01"))
    across = n * int(sums["m20"]) - x * x  # n² times the variance along x, and so on
    down = n * int(sums["m02"]) - y * y
    both = n * int(sums["m11"]) - x * y
    if across + down == 0:
        return 0.0
    spread = math.hypot(across - down, 2 * both)  # of the two eigenvalues; their sum is the trace
    return math.sqrt(2 * spread / (across + down + spread))


def hull_area(part: np.ndarray) -> int:
    """Pixels of an (H, W) bool object's convex hull, one at least; skimage's `area_convex`.

    The hull goes through the middles of the pixels' outer edges, as there. Only the ends of each
    row can touch it and each row of it is one run, which saves nine tenths of skimage's time.
    """
    rows = np.flatnonzero(part.any(axis=1))
    left = part[rows].argmax(axis=1)
    right = part.shape[1] - 1 - part[rows, ::-1].argmax(axis=1)
    points = np.concatenate(
        [
            np.stack([np.tile(rows, 2), np.append(left - 0.5, right + 0.5)], axis=1),
            np.stack([np.tile(rows - 0.5, 2), np.append(left, right)], axis=1),
            np.stack([np.tile(rows + 0.5, 2), np.append(left, right)], axis=1),
        ]
    )  # (6 · rows, 2) row and column
    corners = points[ConvexHull(points).vertices]  # (V, 2), once around
    steps = np.roll(corners, -1, axis=0)[:, 0] - corners[:, 0]
    every = np.arange(rows[0], rows[-1] + 1)
    sides = [_side(corners, steps > 0, every), _side(corners, steps < 0, every)]
    rounding = 1e-9
    first = np.ceil(np.minimum(*sides) - rounding)
    last = np.floor(np.maximum(*sides) + rounding)
    return int((last - first + 1).sum())


def _side(corners: np.ndarray, edges: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Column at which one side of a convex outline crosses each row."""
    chain = corners[edges | np.roll(edges, 1)]  # both ends of every edge
    chain = chain[chain[:, 0].argsort()]
    return np.interp(rows, chain[:, 0], chain[:, 1])


def mean_colour(image: np.ndarray, part: np.ndarray) -> list[float]:
    """Mean R, G, B of (H, W, 3) uint8 within (H, W) bool; NaN when it is empty."""
    if not part.any():
        return [float("nan")] * 3
    return list(cv2.mean(image, part.view(np.uint8))[:3])


def check_cell(image: np.ndarray, mask: np.ndarray, *, step: str) -> None:
    """Refuse anything but an (H, W, 3) uint8 image and an (H, W) uint8 mask of 0, 128 and 255."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"{step}: the image must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}"
        )
    if mask.shape != image.shape[:2] or mask.dtype != np.uint8:
        raise ValueError(
            f"{step}: the mask must be {image.shape[:2]} uint8, got {mask.shape} {mask.dtype}"
        )
    codes = np.flatnonzero(cv2.calcHist([mask], [0], None, [256], [0, 256]))
    if not set(codes.tolist()) <= {0, CYTOPLASM, NUCLEUS}:
        raise ValueError(f"{step}: the mask holds 0, 128 and 255 only, got {codes.tolist()[:6]}")
