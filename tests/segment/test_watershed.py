"""The marker watershed on drawn cells, odd images and a handful of real ones."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from oadls.preprocess.equalize import equalize
from oadls.preprocess.foreground import find_foreground
from oadls.preprocess.wiener import wiener
from oadls.segment.markers import Markers, cell_markers, cut_out_cell, split_touching
from oadls.segment.regions import opened
from oadls.segment.score import dice, score_mask
from oadls.segment.watershed import Segmentation, flood, segment

GLASS, RED_CELL = (0.92, 0.90, 0.88), (0.85, 0.65, 0.62)
CYTOPLASM, NUCLEUS = (0.66, 0.62, 0.82), (0.38, 0.18, 0.55)


def disk_at(shape, y, x, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def paint(shape, *layers, ground=GLASS):
    """Colours laid over one another, with a little noise."""
    image = np.ones((*shape, 3), np.float32) * np.float32(ground)
    for region, colour in layers:
        image[region] = colour
    noise = np.random.default_rng(0).normal(0, 0.01, image.shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def run(image, foreground=None, **settings) -> Segmentation:
    whole = np.ones(image.shape[:2], bool)
    return segment(image, image, foreground=whole if foreground is None else foreground, **settings)


@pytest.mark.parametrize("side", [120, 257, 450])
def test_a_drawn_cell_is_found_among_red_cells_at_any_size(side):
    shape, s = (side, side), side / 120
    cell, nucleus = disk_at(shape, 60 * s, 58 * s, 30 * s), disk_at(shape, 62 * s, 55 * s, 20 * s)
    touching = disk_at(shape, 60 * s, 105 * s, 18 * s) | disk_at(shape, 12 * s, 60 * s, 19 * s)
    far = disk_at(shape, 105 * s, 15 * s, 18 * s) | disk_at(shape, 10 * s, 10 * s, 18 * s)
    image = paint(shape, (touching | far, RED_CELL), (cell, CYTOPLASM), (nucleus, NUCLEUS))
    mask, note = run(image)
    assert note == ""
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 128, 255}
    assert dice(mask == 255, nucleus) > 0.96
    assert dice(mask > 0, cell) > 0.96


def test_watershed_separates_two_touching_nuclei():
    shape = (160, 160)
    mine, other = disk_at(shape, 80, 74, 28), disk_at(shape, 80, 128, 28)
    image = paint(shape, (mine | other, NUCLEUS))
    mask, note = run(image)
    assert note == ""
    assert dice(mask > 0, mine) > 0.95
    assert (mask[other & ~mine] > 0).mean() < 0.05


def test_two_touching_cells_are_split_and_one_oval_cell_is_not():
    shape = (100, 160)
    pair = disk_at(shape, 50, 50, 30) | disk_at(shape, 50, 105, 30)
    labels, count = split_touching(pair, neck=0.75)
    assert count == 2
    assert labels[50, 30] != labels[50, 125]
    rows, columns = np.ogrid[:100, :160]
    oval = (rows - 50) ** 2 / 30**2 + (columns - 80) ** 2 / 60**2 <= 1
    assert split_touching(oval, neck=0.75)[1] == 1


def test_the_lobes_of_one_nucleus_stay_together():
    shape = (120, 120)
    cell = disk_at(shape, 60, 60, 38)
    lobes = [disk_at(shape, y, x, 11) for y, x in ((42, 50), (48, 76), (78, 62))]
    nucleus = np.logical_or.reduce(lobes)
    mask, _ = run(paint(shape, (cell, CYTOPLASM), (nucleus, NUCLEUS)))
    assert dice(mask == 255, nucleus) > 0.95
    assert dice(mask > 0, cell) > 0.96


def test_flooding_meets_at_the_ridge():
    relief = np.zeros((20, 40), np.uint8)
    relief[:, 17] = 200
    relief[5, 5] = relief[10, 30] = 90
    inside, outside = np.zeros(relief.shape, bool), np.zeros(relief.shape, bool)
    inside[10, 2] = outside[10, 38] = True
    basin = flood(relief, Markers(inside, outside))
    assert basin[:, :17].all()
    assert not basin[:, 18:].any()


def cut_out(shape=(200, 200)):
    cell, nucleus = disk_at(shape, 100, 100, 50), disk_at(shape, 100, 90, 38)
    image = paint(shape, (cell, CYTOPLASM), (nucleus, NUCLEUS)) * 0.6
    image[~cell] = 0
    return image, cell, nucleus


def test_a_cut_out_cell_is_its_foreground_with_a_nucleus_in_it():
    image, cell, nucleus = cut_out()
    mask, note = run(image, foreground=cell)
    assert note == ""
    assert dice(mask > 0, cell) > 0.99
    assert dice(mask == 255, nucleus) > 0.95
    assert not (mask[~cell] > 0).any()


@pytest.mark.parametrize("seed", range(6))
def test_flooding_the_border_of_a_cut_out_cell_would_change_nothing(seed):
    """The spikes that it decides on do not hold the disk by which the cell is opened after."""
    rng = np.random.default_rng(seed)
    shape = (150, 150)
    field = gaussian_filter(rng.random(shape), 4)
    picture = disk_at(shape, 75, 75, 55) & (field > np.quantile(field, 0.2))
    nuclear = np.where(picture, rng.integers(0, 200, shape), 0).astype(np.uint8)
    rough = cut_out_cell(nuclear, picture)
    nucleus = rough.cell & disk_at(shape, 75, 75, 30)
    relief = rng.integers(0, 255, shape).astype(np.uint8)
    flooded = flood(relief, cell_markers(rough, nucleus, certainty=0.5))
    assert (flooded != rough.cell).any()
    radius = min(shape) / 40
    np.testing.assert_array_equal(
        opened(flooded | nucleus, radius), opened(rough.cell | nucleus, radius)
    )


def test_a_cut_out_cell_without_contrast_falls_back_to_the_foreground_and_says_so():
    cell = disk_at((90, 90), 45, 45, 30)
    image = np.zeros((90, 90, 3), np.float32)
    image[cell] = 0.4
    mask, note = run(image, foreground=cell)
    assert "foreground" in note
    np.testing.assert_array_equal(mask > 0, cell)


@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (120, 120)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_blank_image_is_all_cell_and_the_note_says_why(shape, level):
    mask, note = run(np.full((*shape, 3), level, np.float32))
    assert "stained" in note
    assert (mask == 128).all()


@pytest.mark.parametrize("shape", [(16, 20000), (20000, 16)])
def test_a_very_long_image_does_not_crash(shape):
    image = np.random.default_rng(1).random((*shape, 3)).astype(np.float32)
    assert (run(image).mask > 0).any()


def test_scattered_foreground_does_not_crash():
    foreground = np.zeros((900, 900), bool)
    foreground[10, 10] = foreground[880, 870] = True
    mask, note = run(np.full((900, 900, 3), 0.5, np.float32) * foreground[..., None], foreground)
    assert note
    assert (mask > 0).any()


def test_black_padding_round_an_ordinary_image_changes_nothing():
    shape = (120, 120)
    cell, nucleus = disk_at(shape, 60, 58, 30), disk_at(shape, 62, 55, 20)
    image = paint(shape, (cell, CYTOPLASM), (nucleus, NUCLEUS))
    padded, foreground = np.pad(image, ((30, 0), (10, 20), (0, 0))), np.zeros((150, 150), bool)
    foreground[30:, 10:130] = True
    mask = run(padded, foreground).mask
    np.testing.assert_array_equal(mask[30:, 10:130], run(image).mask)
    assert (mask > 0).sum() == (run(image).mask > 0).sum()


def test_a_foreground_of_nothing_does_not_crash():
    image = np.zeros((64, 64, 3), np.float32)
    mask, note = run(image, foreground=np.zeros((64, 64), bool))
    assert note
    assert (mask > 0).all()


@pytest.mark.parametrize("seed", range(12))
def test_the_cell_is_never_empty(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(16, 90, 2)
    image = rng.random((height, width, 3)).astype(np.float32) ** rng.uniform(0.2, 5)
    foreground = np.ones((height, width), bool)
    if seed % 3 == 0:
        foreground = disk_at((height, width), height / 2, width / 2, rng.uniform(2, 30))
        image[~foreground] = 0
    mask, _ = run(image, foreground=foreground)
    assert mask.shape == (height, width)
    assert (mask > 0).any()


def test_a_cell_that_fills_the_image_is_found():
    shape = (64, 64)
    nucleus = disk_at(shape, 32, 32, 20)
    mask, _ = run(paint(shape, (nucleus, NUCLEUS), ground=CYTOPLASM))
    assert dice(mask == 255, nucleus) > 0.9


def test_segment_on_chooses_the_image_that_is_used():
    image, blank = (
        paint((80, 80), (disk_at((80, 80), 40, 40, 20), NUCLEUS)),
        np.full((80, 80, 3), 0.5, np.float32),
    )
    whole = np.ones((80, 80), bool)
    assert not segment(image, blank, foreground=whole, segment_on="smooth").note
    assert segment(image, blank, foreground=whole, segment_on="equalized").note


def test_the_same_image_gives_the_same_mask():
    image, cell, _ = cut_out()
    np.testing.assert_array_equal(
        run(image, foreground=cell).mask, run(image, foreground=cell).mask
    )


@pytest.mark.parametrize("source", ["wbc-jtsc", "all-idb2"])
def test_real_cells_agree_with_drawn_masks(data_dir, source):
    images = sorted((data_dir / source / "images").iterdir())
    scores = []
    for path in images[:: len(images) // 12][:12]:
        with Image.open(path) as picture:
            image = np.asarray(picture.convert("RGB"))
        with Image.open(data_dir / source / "masks" / f"{path.stem}.png") as drawn:
            truth = np.asarray(drawn.convert("L"))
        foreground = find_foreground(image)
        smooth = wiener(image.astype(np.float32) / 255, foreground=foreground)
        mask, _ = segment(smooth, equalize(smooth, foreground=foreground), foreground=foreground)
        scores.append(list(score_mask(mask, truth).values()))
    nucleus, cell = np.mean(scores, axis=0)
    assert nucleus > 0.93
    assert cell > 0.93
