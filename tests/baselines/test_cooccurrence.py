import numpy as np
import pytest

from oadls.baselines.cooccurrence import ANGLES, cooccurrence
from tests.baselines.cells import grainy_cell
from tests.oracles.cooccurrence import shares_of_pairs


def test_pairs_on_paper():
    # Within the ring of three pixels (a b / c .) the neighbours are a-b and a-c, and b-c across.
    channel = np.array([[0, 200, 9], [90, 7, 9], [9, 9, 9]], np.uint8)
    region = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    counts = cooccurrence(channel, region, distances=(1,), levels=4)[:, :, 0]  # levels 0, 3, 1
    zero, ninety, diagonal = np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4))
    zero[0, 3] = zero[3, 0] = 1  # a-b
    ninety[0, 1] = ninety[1, 0] = 1  # a-c
    diagonal[3, 1] = diagonal[1, 3] = 1  # b-c, down to the left
    assert np.array_equal(counts[..., ANGLES.index(0)], zero)
    assert np.array_equal(counts[..., ANGLES.index(90)], ninety)
    assert np.array_equal(counts[..., ANGLES.index(135)], diagonal)
    assert not counts[..., ANGLES.index(45)].any()


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_every_distance_and_angle_counts_what_a_loop_counts(distance):
    image, mask = grainy_cell()
    region = mask == 255
    counts = cooccurrence(image[..., 0], region, distances=(1, 2, 4), levels=16)
    for column, angle in enumerate(ANGLES):
        expected = np.zeros((16, 16))
        pairs = shares_of_pairs(image[..., 0], region, distance=distance, angle=angle, levels=16)
        for pair, share in pairs.items():
            expected[pair] = share
        plane = counts[:, :, (1, 2, 4).index(distance), column]
        assert plane / plane.sum() == pytest.approx(expected)


def test_all_256_levels_can_be_told_apart():
    channel = np.array([[255, 0]], np.uint8)
    counts = cooccurrence(channel, np.ones((1, 2), bool), distances=(1,), levels=256)
    assert counts[255, 0, 0, 0] == counts[0, 255, 0, 0] == 1
    assert counts.sum() == 2


def test_an_empty_region_has_no_pairs():
    counts = cooccurrence(
        np.zeros((5, 5), np.uint8), np.zeros((5, 5), bool), distances=(1,), levels=8
    )
    assert counts.shape == (8, 8, 1, 4)
    assert not counts.any()


def test_levels_that_do_not_divide_the_grays_are_refused():
    with pytest.raises(ValueError, match="levels must divide 256, got 100"):
        cooccurrence(np.zeros((2, 2), np.uint8), np.ones((2, 2), bool), distances=(1,), levels=100)
