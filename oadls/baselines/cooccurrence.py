"""Gray-level co-occurrence within a region: scikit-image counts, the outside is struck out."""

from collections.abc import Sequence

import numpy as np
from skimage.feature import graycomatrix

from oadls.preprocess.foreground import bounding_box

ANGLES = (0, 45, 90, 135)  # degrees, in the order of the last axis


def cooccurrence(
    channel: np.ndarray, region: np.ndarray, *, distances: Sequence[int], levels: int
) -> np.ndarray:
    """How often two levels lie at a distance of each other, both within the region.

    channel : (H, W) uint8, one colour or gray
    region : (H, W) bool
    distances : px; along a diagonal so many steps aside and down, as Haralick (1973) counts them
    levels : equal steps of gray that the 256 values fall into; a divisor of 256
    returns (levels, levels, D, 4) uint32, symmetric counts at 0, 45, 90, 135 degrees; zeros for an
        empty region
    """
    if levels < 1 or 256 % levels:
        raise ValueError(f"cooccurrence: levels must divide 256, got {levels}")
    if not region.any():
        return np.zeros((levels, levels, len(distances), len(ANGLES)), np.uint32)
    box = bounding_box(region)
    steps = channel[box].astype(np.uint16) // (256 // levels) + 1  # 0 is kept for the outside
    steps[~region[box]] = 0
    # scikit-image rounds d·sin 45°, by which the diagonals of 1 and 2 px would be the same pixel
    diagonal = np.sqrt(2) * np.asarray(distances)
    straight, slanted = (
        graycomatrix(steps, far, np.deg2rad(angles), levels=levels + 1, symmetric=True)
        for far, angles in ((distances, ANGLES[::2]), (diagonal, ANGLES[1::2]))
    )  # (levels + 1, levels + 1, D, 2) each
    counts = np.stack([straight, slanted], axis=-1)  # (…, D, 2, 2): 0, 45 | 90, 135
    return counts.reshape(*counts.shape[:3], len(ANGLES))[1:, 1:]
