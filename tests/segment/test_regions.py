"""Binary operations against SciPy and by hand."""

import numpy as np
import pytest
from scipy import ndimage

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


def test_closing_does_not_stick_to_the_border():
    near = np.zeros((40, 40), bool)
    near[10:30, 5:25] = True
    np.testing.assert_array_equal(closed(near, 8), near)


def test_the_hull_fills_the_bay_of_a_crescent():
    crescent = np.ones((9, 9), bool)
    crescent[3:6, 3:] = False
    assert convex_hull(crescent).all()


def test_components_touch_by_corners():
    labels, count = components(np.eye(4, dtype=bool))
    assert count == 1
    assert (labels.diagonal() == 1).all()


def test_a_central_nucleus_wins_over_a_larger_one_at_the_border():
    labels = np.zeros((100, 100), np.int32)
    labels[:40, :30], labels[45:60, 45:60] = 1, 2
    assert most_central(labels, 2, weigh=labels > 0) == 2
