"""Morphology by reconstruction: what a watershed needs before it floods.

Method: L. Vincent, "Morphological grayscale reconstruction in image analysis", 1993; the order of
the steps follows F. Meyer and S. Beucher, "Morphological segmentation", 1990.
"""

from collections.abc import Callable

import cv2
import numpy as np

Step = Callable[..., np.ndarray]

_NEIGHBOURS = np.ones((3, 3), np.uint8)  # 8-connected, as in skimage.morphology.reconstruction
_STEPS = 4  # between two looks at what still changes: a look costs about as much as one or two


def disk(radius: float) -> np.ndarray:
    """The round structuring element of a radius in pixels, as (2r + 1, 2r + 1) uint8."""
    r = max(1, round(radius))
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    return (x * x + y * y <= r * r).astype(np.uint8)


def reconstruct_by_dilation(seed: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Grow `seed` under `ceiling` until nothing changes: R^δ_ceiling(seed).

    seed, ceiling : (H, W) of one dtype, uint8, uint16 or float32; seed ≤ ceiling
    returns (H, W) of that dtype
    """
    return _reconstruct(seed, ceiling, spread=cv2.dilate, limit=cv2.min)


def reconstruct_by_erosion(seed: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Shrink `seed` onto `floor` until nothing changes: R^ε_floor(seed).

    seed, floor : (H, W) of one dtype, uint8, uint16 or float32; seed ≥ floor
    returns (H, W) of that dtype
    """
    return _reconstruct(seed, floor, spread=cv2.erode, limit=cv2.max)


def _reconstruct(seed: np.ndarray, bound: np.ndarray, *, spread: Step, limit: Step) -> np.ndarray:
    """Repeat `limit(spread(seed), bound)` until nothing changes.

    3×3 steps of OpenCV give what skimage's queue gives, several times sooner. A pixel that has
    stopped changing has nothing left to tell its neighbours: only the box of the pixels that still
    change is worked on, with a margin as wide as the steps that are taken at once.
    """
    result = seed.copy()
    rows = columns = slice(0, None)
    while True:
        before = values = result[rows, columns]
        local_bound = bound[rows, columns]
        for _ in range(_STEPS):
            values = limit(spread(values, _NEIGHBOURS), local_bound)
        x, y, width, height = cv2.boundingRect((values != before).view(np.uint8))
        if not width:
            return result
        result[rows, columns] = values
        rows = _with_margin(rows.start + y, height)
        columns = _with_margin(columns.start + x, width)


def _with_margin(first: int, length: int) -> slice:
    return slice(max(0, first - _STEPS), first + length + _STEPS)


def open_close(image: np.ndarray, *, radius: float) -> np.ndarray:
    """Opening, then closing by reconstruction: OC_b^(rec) = φ_b ∘ γ_b.

    Removes bright and dark details that do not hold the disk b, and leaves every other edge
    where it was.

    image : (H, W) uint8, uint16 or float32
    radius : of the disk b in pixels, rounded, at least 1
    returns (H, W) of the same dtype
    """
    b = disk(radius)
    # From an erosion the same would grow, only later: the opening lies between it and the result.
    opened = reconstruct_by_dilation(cv2.morphologyEx(image, cv2.MORPH_OPEN, b), image)
    return reconstruct_by_erosion(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, b), opened)


def gradient(image: np.ndarray) -> np.ndarray:
    """Morphological gradient δ₁(f) − ε₁(f) over the 4-neighbours, (H, W) of the same dtype."""
    return cv2.morphologyEx(image, cv2.MORPH_GRADIENT, disk(1))


def impose_minima(relief: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Make the markers the only regional minima of a relief.

    g″ = R^ε_{min(g + 1, fm)}(fm), with fm below everything on the markers and above everything
    elsewhere.

    relief : (H, W) uint8
    markers : (H, W) bool, True on at least one pixel
    returns (H, W) uint16: 0 on the markers, at least 1 elsewhere
    """
    bottom = np.where(markers, np.uint16(0), np.iinfo(np.uint16).max)
    return reconstruct_by_erosion(bottom, cv2.min(relief.astype(np.uint16) + 1, bottom))
