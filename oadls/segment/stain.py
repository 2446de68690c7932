"""Maps of stain, in which nuclei and cytoplasm stand out from red cells and glass.

Colour is measured as absorption, 1 − I / background, so that the light and the tint of the smear
drop out. Maps are 8 bit, `LEVELS` steps per unit: reconstruction and flooding run on them.
"""

import numpy as np
from skimage.filters import threshold_multiotsu, threshold_otsu

from oadls.segment.reconstruction import open_close

LEVELS = 140  # 8-bit steps per unit of absorption; 255 is an absorption of 1.8


def background_colour(image: np.ndarray) -> np.ndarray:
    """Colour of the bare glass: the median of what is nearly as green as the brightest green.

    Green, for every stain and every red cell absorbs it.
    image : (H, W, 3) or (N, 3) float32 RGB in [0, 1]; returns (3,), at least 0.05
    """
    pixels = image.reshape(-1, 3)
    green = pixels[:, 1]
    return np.maximum(np.median(pixels[green >= 0.9 * np.percentile(green, 98)], axis=0), 0.05)


def light_of_cut_out(pixels: np.ndarray) -> np.ndarray:
    """Stand-in for the glass where a cell was cut out: what its nucleus absorbs two thirds of.

    pixels : (N, 3) float32 RGB of the cell, of which a quarter or more is nucleus
    returns (3,), at least 0.05
    """
    green = pixels[:, 1]
    return np.maximum(3 * np.median(pixels[green <= np.median(green)], axis=0), 0.05)


def absorption(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    """1 − I / background, (H, W, 3) float32; 0 on bare glass, 1 on black, never below −0.1."""
    return (1 - np.clip(image / background, 0, 1.1)).astype(np.float32)


def nuclear_stain(absorbed: np.ndarray, *, radius: float) -> np.ndarray:
    """Twice the green less the blue absorption, opened and closed by reconstruction.

    Nuclei absorb green and let blue through; haemoglobin absorbs both.
    absorbed : (H, W, 3); radius : of the details to remove, px; returns (H, W) uint8
    """
    return open_close(_as_levels(2 * absorbed[..., 1] - absorbed[..., 2]), radius=radius)


def red_cell_colour(
    absorbed: np.ndarray, outside: np.ndarray, *, faint: float = 0.12, dense: float = 0.2
) -> np.ndarray:
    """Absorption of the densest red cells, or zeros where there are hardly any.

    absorbed : (H, W, 3); outside : (H, W) bool, away from the cell and other nuclei
    faint, dense : length of an absorption that is no bare glass, and of one that is a red cell;
        a tenth of `outside` must be dense, else ghosts and dirt would be taken for red cells
    returns (3,) float32
    """
    colours = absorbed[outside]  # (N, 3)
    length = np.linalg.norm(colours, axis=1)
    if len(colours) < 30 or (length > dense).mean() < 0.1:
        return np.zeros(3, np.float32)
    direction = np.median(colours[length > faint], axis=0)
    direction /= np.linalg.norm(direction)
    return (direction * np.quantile(colours @ direction, 0.9)).astype(np.float32)


def smear_distance(absorbed: np.ndarray, red_cell: np.ndarray, *, radius: float) -> np.ndarray:
    """How far a colour is from anything between bare glass and a red cell, (H, W) uint8.

    A red cell of any thickness lies on the line from 0 to `red_cell`; cytoplasm and nuclei lie
    beside or beyond it. radius : of the details that opening and closing remove, px
    """
    along = np.float32(0)
    if red_cell.any():
        along = np.clip(absorbed @ red_cell / (red_cell @ red_cell), 0, 1)[..., None]
    return open_close(
        _as_levels(np.linalg.norm(absorbed - along * red_cell, axis=-1)), radius=radius
    )


def highest_of_three(stain: np.ndarray) -> float:
    """Level of the upper cut of three-class multi-Otsu; of fewer classes when there are fewer.

    stain : (N,) or (H, W) uint8; raises ValueError when all of one level
    """
    levels = len(np.unique(stain))
    if levels < 2:
        raise ValueError("every pixel has the same stain")
    if levels == 2:
        return float(stain.min())
    return float(threshold_multiotsu(stain, 3)[1])


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
