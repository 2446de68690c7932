"""Colour statistics against NumPy and by hand."""

import numpy as np
import pytest
from skimage.filters import threshold_multiotsu

from oadls.segment.stain import absorption, highest_of_three, light_of_cut_out, medians, within


@pytest.mark.parametrize("length", [1, 2, 3, 10, 101])
def test_medians_are_those_of_numpy(length):
    values = np.random.default_rng(length).random((3, length)).astype(np.float32)
    np.testing.assert_array_equal(medians(values), np.median(values, axis=1))


def test_within_picks_the_pixels_of_a_mask():
    rng = np.random.default_rng(0)
    planes, region = rng.random((3, 6, 7)), rng.random((6, 7)) < 0.5
    np.testing.assert_array_equal(within(planes, region), planes[:, region])


def test_a_cut_out_nucleus_absorbs_two_thirds():
    pixels = np.full((3, 100), 0.6, np.float32)
    pixels[:, :60] = 0.2
    np.testing.assert_allclose(light_of_cut_out(pixels), 0.6, rtol=1e-6)
    nucleus = pixels[:, :1].reshape(3, 1, 1)
    np.testing.assert_allclose(absorption(nucleus, light_of_cut_out(pixels)), 2 / 3, rtol=1e-6)


def test_the_upper_of_three_classes_is_that_of_scikit_image():
    stain = np.random.default_rng(0).normal([[40], [90], [160]], 12, (3, 400))
    stain = stain.clip(0, 255).astype(np.uint8)
    assert highest_of_three(stain) == threshold_multiotsu(stain, 3)[1]


def test_two_levels_have_two_classes_and_one_has_none():
    assert highest_of_three(np.array([[7, 7, 9]], np.uint8)) == 7
    with pytest.raises(ValueError, match="same stain"):
        highest_of_three(np.full((3, 3), 5, np.uint8))
