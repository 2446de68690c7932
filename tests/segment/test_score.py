"""Dice against values worked out by hand."""

import numpy as np
import pytest

from oadls.segment.score import dice, score_mask


def test_dice_is_twice_the_overlap_over_the_areas():
    predicted, truth = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    predicted[0, :3] = True
    truth[0, 1:] = truth[1, 0] = True
    assert dice(predicted, truth) == pytest.approx(2 * 2 / (3 + 4))


def test_dice_is_one_for_equal_and_zero_for_disjoint_masks():
    left = np.zeros((3, 4), bool)
    left[:, :2] = True
    assert dice(left, left) == 1
    assert dice(left, ~left) == 0


def test_two_empty_masks_agree_and_an_empty_one_misses_everything():
    empty = np.zeros((3, 3), bool)
    assert dice(empty, empty) == 1
    assert dice(empty, ~empty) == 0


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="share a shape"):
        dice(np.zeros((3, 3), bool), np.zeros((3, 4), bool))


def test_the_cell_is_nucleus_and_cytoplasm():
    truth = np.array([[0, 128, 128, 255, 255, 0]], np.uint8)
    predicted = np.array([[0, 0, 255, 255, 128, 0]], np.uint8)
    scores = score_mask(predicted, truth)
    assert scores["nucleus"] == pytest.approx(2 * 1 / (2 + 2))
    assert scores["cell"] == pytest.approx(2 * 3 / (3 + 4))
