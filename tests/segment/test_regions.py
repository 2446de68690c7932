"""Binary operations against SciPy and by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import morphology

from oadls.segment.regions import (
    closed,
    components,
    convex_hull,
    distance_to,
    filled,
    most_central,
    opened,
)


@pytest.fixture
def blobs() -> np.ndarray:
    rng = np.random.default_rng(3)
    return ndimage.gaussian_filter(rng.random((60, 80)), 2) > 0.5


def test_filled_is_that_of_scipy(blobs):
    np.testing.assert_array_equal(filled(blobs), ndimage.binary_fill_holes(blobs))


def test_distance_is_that_of_scipy_to_a_few_percent(blobs):
    exact = ndimage.distance_transform_edt(~blobs)
    np.testing.assert_allclose(distance_to(blobs), exact, rtol=0.03, atol=0.05)


def test_everything_is_far_from_nothing():
    assert distance_to(np.zeros((5, 5), bool)).min() > 1000


def test_opening_shrinks_and_closing_grows(blobs):
    assert not (opened(blobs, 2) & ~blobs).any()
    assert not (blobs & ~closed(blobs, 2)).any()


@pytest.mark.parametrize("radius", [1, 2, 5, 9, 14.6])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_opening_and_closing_are_those_of_scikit_image(radius, share):
    field = ndimage.gaussian_filter(np.random.default_rng(5).random((70, 90)), 3)
    region, disk = field > np.quantile(field, share), morphology.disk(round(radius))
    np.testing.assert_array_equal(opened(region, radius), morphology.opening(region, disk))
    wide = morphology.closing(np.pad(region, 40), disk)
    np.testing.assert_array_equal(closed(region, radius), wide[40:-40, 40:-40])


def test_closing_leaves_nothing_and_everything_as_they_are():
    assert not closed(np.zeros((20, 30), bool), 4).any()
    assert closed(np.ones((20, 30), bool), 4).all()


def test_closing_does_not_stick_to_the_border():
    near = np.zeros((40, 40), bool)
    near[10:30, 5:25] = True
    np.testing.assert_array_equal(closed(near, 8), near)


def test_the_hull_fills_the_bay_of_a_crescent():
    crescent = np.ones((9, 9), bool)
    crescent[3:6, 3:] = False
    assert convex_hull(crescent).all()


def test_the_hull_is_that_of_scikit_image(blobs):
    expected = morphology.convex_hull_image(blobs, offset_coordinates=False)
    assert (convex_hull(blobs) != expected).mean() < 0.01
    assert not (blobs & ~convex_hull(blobs)).any()


def test_components_touch_by_corners():
    labels, count = components(np.eye(4, dtype=bool))
    assert count == 1
    assert (labels.diagonal() == 1).all()


def test_a_central_nucleus_wins_over_a_larger_one_at_the_border():
    labels = np.zeros((100, 100), np.int32)
    labels[:40, :30], labels[45:60, 45:60] = 1, 2
    assert most_central(labels, 2, weigh=labels > 0) == 2
