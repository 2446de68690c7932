"""Reconstruction and regional minima, pixel by pixel."""

import numpy as np


def _around(shape: tuple[int, int], y: int, x: int) -> list[tuple[int, int]]:
    """The pixel and its up to eight neighbours."""
    return [
        (j, i)
        for j in range(max(0, y - 1), min(shape[0], y + 2))
        for i in range(max(0, x - 1), min(shape[1], x + 2))
    ]


def reconstruct_by_dilation(seed: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Dilate by one pixel, cut off at the ceiling, repeat until nothing changes."""
    while True:
        grown = np.empty_like(seed)
        for y, x in np.ndindex(*seed.shape):
            highest = max(seed[p] for p in _around(seed.shape, y, x))
            grown[y, x] = min(highest, ceiling[y, x])
        if (grown == seed).all():
            return grown
        seed = grown


def reconstruct_by_erosion(seed: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """The same upside down."""
    return -reconstruct_by_dilation(-seed, -floor)


def regional_minima(relief: np.ndarray) -> np.ndarray:
    """Pixels of connected plateaus without a lower neighbour, (H, W) bool."""
    minimum = np.zeros(relief.shape, bool)
    seen = np.zeros(relief.shape, bool)
    for start in np.ndindex(*relief.shape):
        if seen[start]:
            continue
        plateau, waiting, lowest = [], [start], True
        seen[start] = True
        while waiting:
            pixel = waiting.pop()
            plateau.append(pixel)
            for other in _around(relief.shape, *pixel):
                if relief[other] < relief[pixel]:
                    lowest = False
                elif relief[other] == relief[pixel] and not seen[other]:
                    seen[other] = True
                    waiting.append(other)
        for pixel in plateau:
            minimum[pixel] = lowest
    return minimum
