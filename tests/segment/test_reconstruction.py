"""Morphology by reconstruction against slow loops and scikit-image."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import reconstruction

from oadls.segment.reconstruction import (
    disk,
    gradient,
    impose_minima,
    open_close,
    reconstruct_by_dilation,
    reconstruct_by_erosion,
)
from tests.oracles import reconstruction as oracle


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (12, 9)])
def test_reconstruction_by_dilation_is_the_slow_loop(rng, shape):
    ceiling = rng.integers(0, 200, shape)
    seed = np.minimum(ceiling, rng.integers(0, 120, shape))
    fast = reconstruct_by_dilation(seed.astype(np.uint8), ceiling.astype(np.uint8))
    np.testing.assert_array_equal(fast, oracle.reconstruct_by_dilation(seed, ceiling))


def test_reconstruction_by_erosion_is_the_slow_loop(rng):
    floor = rng.integers(0, 200, (11, 13))
    seed = np.maximum(floor, rng.integers(80, 255, floor.shape))
    fast = reconstruct_by_erosion(seed.astype(np.uint16), floor.astype(np.uint16))
    np.testing.assert_array_equal(fast, oracle.reconstruct_by_erosion(seed, floor))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_reconstruction_is_that_of_scikit_image(rng, dtype):
    ceiling = (rng.random((70, 50)) * 250).astype(dtype)
    seed = np.minimum(ceiling, (rng.random(ceiling.shape) * 130).astype(dtype))
    np.testing.assert_array_equal(
        reconstruct_by_dilation(seed, ceiling), reconstruction(seed, ceiling, method="dilation")
    )
    np.testing.assert_array_equal(
        reconstruct_by_erosion(ceiling, seed), reconstruction(ceiling, seed, method="erosion")
    )


@pytest.mark.parametrize("sigma", [1, 4, 12])
def test_slow_corners_of_a_large_image_are_reached(rng, sigma):
    """Where only a part of the image still changes, only that part is worked on."""
    field = ndimage.gaussian_filter(rng.random((150, 190)), sigma)
    ceiling = ((field - field.min()) / np.ptp(field) * 255).astype(np.uint8)
    seed = np.zeros_like(ceiling)
    seed[3, 5], seed[140, 180] = ceiling[3, 5], ceiling[140, 180]
    np.testing.assert_array_equal(
        reconstruct_by_dilation(seed, ceiling), reconstruction(seed, ceiling, method="dilation")
    )


def test_reconstruction_follows_a_long_spiral_to_its_end():
    maze = np.zeros((41, 41), np.uint8)
    for row in range(0, 41, 2):
        maze[row] = 255
        maze[min(row + 1, 40), 0 if row % 4 else 40] = 255
    seed = np.zeros_like(maze)
    seed[0, 0] = 255
    np.testing.assert_array_equal(reconstruct_by_dilation(seed, maze), maze)


def test_opening_and_closing_remove_details_and_move_no_edge():
    square = np.full((60, 60), 50, np.uint8)
    square[15:45, 15:45] = 150
    dotted = square.copy()
    dotted[5:7, 5:7], dotted[30:32, 30:32] = 250, 0
    np.testing.assert_array_equal(open_close(dotted, radius=3), square)


def test_the_gradient_of_a_step_is_its_height():
    step = np.zeros((5, 6), np.uint8)
    step[:, 3:] = 40
    np.testing.assert_array_equal(gradient(step)[2], [0, 0, 40, 40, 0, 0])


def test_a_disk_is_round():
    np.testing.assert_array_equal(disk(1), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    assert disk(0.2).shape == (3, 3)


def test_the_regional_minima_of_the_imposed_gradient_are_exactly_the_markers(rng):
    relief = rng.integers(0, 255, (20, 24)).astype(np.uint8)
    markers = np.zeros(relief.shape, bool)
    markers[2:5, 3:6] = markers[14, 10:20] = markers[18, 2] = True
    assert oracle.regional_minima(relief).sum() > markers.sum()
    imposed = impose_minima(relief, markers)
    np.testing.assert_array_equal(oracle.regional_minima(imposed.astype(int)), markers)


def test_imposing_minima_keeps_the_relief_where_it_needs_no_filling():
    slope = np.tile(np.arange(10, 30, dtype=np.uint8), (6, 1))
    marker = np.zeros(slope.shape, bool)
    marker[:, 0] = True
    imposed = impose_minima(slope, marker)
    np.testing.assert_array_equal(imposed[:, 1:], slope[:, 1:].astype(int) + 1)
