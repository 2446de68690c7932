"""Maps of stain, in which nuclei and cytoplasm stand out from red cells and glass.

Colour is measured as absorption, 1 − I / background, so that the light and the tint of the smear
drop out. Maps are 8 bit, `LEVELS` steps per unit: reconstruction and flooding run on them.
"""

import numpy as np
from skimage.filters import threshold_multiotsu, threshold_otsu

from oadls.segment.reconstruction import open_close

LEVELS = 140  # 8-bit steps per unit of absorption; 255 is an absorption of 1.8


def within(planes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """`planes[:, region]`, several times sooner: (C, …) and a bool mask (…) to (C, N)."""
    return np.stack([plane[region] for plane in planes])


def medians(values: np.ndarray) -> np.ndarray:
    """`np.median(values, axis=1)` of (C, N) without a NaN, in half the time: (C,)."""
    middle = values.shape[1] // 2
    ordered = np.partition(values, [middle - 1, middle], axis=1)
    if values.shape[1] % 2:
        return ordered[:, middle]
    return (ordered[:, middle - 1] + ordered[:, middle]) / 2


def background_colour(pixels: np.ndarray) -> np.ndarray:
    """Colour of the bare glass: the median of what is nearly as green as the brightest green.

    Green, for every stain and every red cell absorbs it.
    pixels : (3, N) float32 RGB in [0, 1]; returns (3,), at least 0.05
    """
    bright = pixels[1] >= 0.9 * np.percentile(pixels[1], 98)
    return np.maximum(medians(within(pixels, bright)), 0.05)


def light_of_cut_out(pixels: np.ndarray) -> np.ndarray:
    """Stand-in for the glass where a cell was cut out: what its nucleus absorbs two thirds of.

    pixels : (3, N) float32 RGB of the cell, of which a quarter or more is nucleus
    returns (3,), at least 0.05
    """
    dark = pixels[1] <= medians(pixels[1:2])
    return np.maximum(3 * medians(within(pixels, dark)), 0.05)


def absorption(planes: np.ndarray, background: np.ndarray) -> np.ndarray:
    """1 − I / background, (3, H, W) float32; 0 on bare glass, 1 on black, never below −0.1."""
    share = planes / background[:, None, None]
    np.clip(share, 0, 1.1, out=share)
    return np.subtract(1, share, out=share)


def nuclear_stain(absorbed: np.ndarray, *, radius: float) -> np.ndarray:
    """Twice the green less the blue absorption, opened and closed by reconstruction.

    Nuclei absorb green and let blue through; haemoglobin absorbs both.
    absorbed : (3, H, W); radius : of the details to remove, px; returns (H, W) uint8
    """
    _, green, blue = absorbed
    return open_close(_as_levels(2 * green - blue), radius=radius)


def red_cell_colour(
    absorbed: np.ndarray, outside: np.ndarray, *, faint: float = 0.12, dense: float = 0.2
) -> np.ndarray:
    """Absorption of the densest red cells, or zeros where there are hardly any.

    absorbed : (3, H, W); outside : (H, W) bool, away from the cell and other nuclei
    faint, dense : length of an absorption that is no bare glass, and of one that is a red cell;
        a tenth of `outside` must be dense, else ghosts and dirt would be taken for red cells
    returns (3,) float32
    """
    colours = within(absorbed, outside)  # (3, N)
    length = np.linalg.norm(colours, axis=0)
    if length.size < 30 or (length > dense).mean() < 0.1:
        return np.zeros(3, np.float32)
    direction = medians(within(colours, length > faint))
    direction /= np.linalg.norm(direction)
    return (direction * np.quantile(direction @ colours, 0.9)).astype(np.float32)


def smear_distance(absorbed: np.ndarray, red_cell: np.ndarray, *, radius: float) -> np.ndarray:
    """How far a colour is from anything between bare glass and a red cell, (H, W) uint8.

    A red cell of any thickness lies on the line from 0 to `red_cell`; cytoplasm and nuclei lie
    beside or beyond it. radius : of the details that opening and closing remove, px
    """
    if red_cell.any():
        along = np.tensordot(red_cell, absorbed, 1) / (red_cell @ red_cell)  # (H, W)
        absorbed = absorbed - np.clip(along, 0, 1) * red_cell[:, None, None]
    return open_close(_as_levels(np.linalg.norm(absorbed, axis=0)), radius=radius)


def highest_of_three(stain: np.ndarray) -> float:
    """Level of the upper cut of three-class multi-Otsu; of fewer classes when there are fewer.

    stain : (N,) or (H, W) uint8; raises ValueError when all of one level
    """
    counts = np.bincount(stain.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    if len(levels) < 2:
        raise ValueError("every pixel has the same stain")
    if len(levels) == 2:
        return float(levels[0])
    return float(threshold_multiotsu(hist=counts / counts.sum(), classes=3)[1])


def cell_threshold(distance: np.ndarray, zone: np.ndarray, outside: np.ndarray) -> float:
    """Level of `smear_distance` above which a pixel near the nucleus is cytoplasm.

    0.85 × Otsu's level in the zone round the nucleus, but above 95 % of what lies outside, and
    within 0.07 … 0.5 of absorption: a cell without cytoplasm gives Otsu nothing to find.
    distance : (H, W) uint8; zone, outside : (H, W) bool
    """
    near = distance[zone]
    split = 0.85 * threshold_otsu(near) if near.size and np.ptp(near) else 0.0
    noise = np.quantile(distance[outside], 0.95) if outside.any() else 0.0
    return float(np.clip(max(split, noise), 0.07 * LEVELS, 0.5 * LEVELS))


def _as_levels(values: np.ndarray) -> np.ndarray:
    return np.clip(values * LEVELS, 0, 255).astype(np.uint8)
