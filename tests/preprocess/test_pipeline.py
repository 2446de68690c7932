"""The steps run in a window round the foreground; what is shown has the size of the image."""

import numpy as np

from oadls.pipeline import MARGIN, Pipeline, to_uint8
from oadls.preprocess.equalize import equalize
from oadls.preprocess.foreground import find_foreground
from oadls.preprocess.wiener import wiener
from oadls.segment.watershed import segment

PIPELINE = Pipeline(smooth=wiener, equalize=equalize, segment=segment)


def cut_out(shape=(160, 180), centre=(70, 90), radius=40):
    """A cell with a nucleus on black."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    away = np.hypot(rows - centre[0], columns - centre[1])
    image = rng.integers(90, 130, (*shape, 3)).astype(np.uint8)
    image[away < 0.7 * radius] //= 2
    image[away > radius] = 0
    return image


def test_the_window_changes_nothing():
    image = cut_out()
    foreground = find_foreground(image)
    original = (image / 255).astype(np.float32)
    smooth = wiener(original, foreground=foreground)
    equalized = equalize(smooth, foreground=foreground)
    mask, note = segment(smooth, equalized, foreground=foreground)
    stages = PIPELINE.stages(image)
    np.testing.assert_array_equal(stages.original, original)
    np.testing.assert_array_equal(stages.smooth, smooth)
    np.testing.assert_array_equal(stages.equalized, equalized)
    np.testing.assert_array_equal(stages.enhanced, to_uint8(equalized))
    np.testing.assert_array_equal(stages.mask, mask)
    assert stages.note == note


def test_only_the_window_of_a_cut_out_cell_is_worked_on():
    stages = PIPELINE.stages(cut_out(radius=40))
    side = 2 * 40 + 1 + 2 * MARGIN
    assert all(part.shape == (side, side, 3) for part in stages.parts)
    assert stages.enhanced.shape == (160, 180, 3)


def test_a_whole_smear_is_its_own_window():
    image = np.random.default_rng(0).integers(60, 200, (50, 60, 3)).astype(np.uint8)
    stages = PIPELINE.stages(image)
    assert all(part.shape == image.shape for part in stages.parts)
    np.testing.assert_array_equal(to_uint8(stages.original), image)


def test_levels_are_rounded_to_the_nearest():
    values = np.linspace(0, 1, 3000, dtype=np.float32).reshape(20, 50, 3)
    np.testing.assert_array_equal(to_uint8(values), np.rint(values * 255).astype(np.uint8))
