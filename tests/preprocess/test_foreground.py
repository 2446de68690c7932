import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.draw import disk

from oadls.preprocess.foreground import bounding_box, find_foreground, reached_from_border


def cut_out(centre=(50, 50), radius=30, side=100):
    image = np.zeros((side, side, 3), dtype=np.uint8)
    inside = np.zeros((side, side), dtype=bool)
    inside[disk(centre, radius, shape=inside.shape)] = True
    image[inside] = (90, 40, 120)
    return image, inside


def test_cut_out_cell_is_the_foreground():
    image, inside = cut_out()
    np.testing.assert_array_equal(find_foreground(image), inside)


def test_black_inside_the_cell_is_picture():
    image, inside = cut_out()
    image[45:55, 45:55] = 0
    np.testing.assert_array_equal(find_foreground(image), inside)


def test_cell_that_parts_the_surround_in_two_is_the_foreground():
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    image[:, 20:40] = 100
    expected = np.zeros((60, 60), dtype=bool)
    expected[:, 20:40] = True
    np.testing.assert_array_equal(find_foreground(image), expected)


def test_cell_cut_by_the_border_is_the_foreground():
    image, inside = cut_out(centre=(10, 50))
    np.testing.assert_array_equal(find_foreground(image), inside)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_level_above_black_is_picture(channel):
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    image[10:30, 10:30, channel] = 1
    assert find_foreground(image).sum() == 400


def test_ordinary_image_is_picture_everywhere():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    assert find_foreground(image).all()


def test_few_black_pixels_at_the_border_are_picture():
    image, _ = cut_out(radius=80)  # covers the image
    image[image.sum(axis=2) == 0] = 5
    image[:4, :50] = 0  # 2 %
    assert find_foreground(image).all()


def test_black_away_from_the_border_is_picture():
    image = np.full((60, 60, 3), 200, dtype=np.uint8)
    image[10:50, 10:50] = 0
    assert find_foreground(image).all()


def test_black_image_is_picture_everywhere():
    assert find_foreground(np.zeros((20, 20, 3), np.uint8)).all()


@pytest.mark.parametrize("share", [0.4, 0.6, 0.7])
def test_what_the_border_reaches_is_what_fills_no_hole(share):
    region = np.random.default_rng(0).random((40, 50)) < share
    filled = ndimage.binary_fill_holes(~region)
    np.testing.assert_array_equal(reached_from_border(region), ~filled)


@pytest.mark.parametrize("shape", [(16, 70_000), (70_000, 16)])
def test_the_longest_of_cells_is_found(shape):
    inside = np.zeros(shape, bool)
    inside[3:-3, 3:-3] = True
    image = np.where(inside[..., None], np.uint8(9), np.uint8(0)).repeat(3, axis=2)
    np.testing.assert_array_equal(find_foreground(image), inside)


def test_a_bounding_box_has_a_margin_as_far_as_the_image_goes():
    mask = np.zeros((20, 30), bool)
    mask[2:6, 10:25] = True
    assert mask[bounding_box(mask)].shape == (4, 15)
    assert mask[bounding_box(mask)].all()
    assert mask[bounding_box(mask, margin=3)].shape == (2 + 4 + 3, 3 + 15 + 3)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="float32"):
        find_foreground(np.zeros((20, 20, 3), np.float32))


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def encoded(image, **settings):
    file = io.BytesIO()
    Image.fromarray(image).save(file, **settings)
    return read(file)


LOSSY = [
    {"format": "JPEG", "quality": quality, "subsampling": colours}
    for quality in (60, 70, 85, 95)
    for colours in (0, 2)
] + [{"format": "WEBP", "quality": 80}]


@pytest.mark.parametrize("settings", LOSSY, ids=str)
def test_a_cell_keeps_its_area_when_it_is_saved_with_loss(data_dir, settings):
    files = sorted((data_dir / "c-nmc/C-NMC_Leukemia/training_data/fold_1").glob("*/*"))[::400]
    assert files
    changes = []
    for path in files:
        image = read(path)
        before, after = find_foreground(image), find_foreground(encoded(image, **settings))
        changes.append(after.sum() / before.sum() - 1)
    assert np.abs(changes).max() < 0.02
    assert np.abs(np.mean(changes)) < 0.01


@pytest.mark.parametrize("radius", [12, 20, 60])
@pytest.mark.parametrize("colour", [(90, 40, 120), (60, 20, 70), (200, 180, 220)])
def test_noise_round_a_cell_of_any_size_is_surround(radius, colour):
    image, inside = cut_out(centre=(80, 80), radius=radius, side=160)
    image[inside] = colour
    for quality in (63, 70, 90):  # two of them make black 1 level bright
        found = find_foreground(encoded(image, format="JPEG", quality=quality))
        assert not (found & ~ndimage.binary_dilation(inside, iterations=4)).any()
        assert found[ndimage.binary_erosion(inside, iterations=2)].all()
        assert (found & ~inside).sum() < 0.5 * (inside & ~ndimage.binary_erosion(inside)).sum()


def test_a_dim_rim_of_one_pixel_is_picture():
    image, inside = cut_out()
    rim = inside & ~ndimage.binary_erosion(inside)
    image[rim] = 5
    np.testing.assert_array_equal(find_foreground(image), inside)


def test_a_dim_picture_with_a_bright_speck_is_picture():
    image, inside = cut_out()
    image[inside] = 9
    image[50, 50] = 200
    np.testing.assert_array_equal(find_foreground(image), inside)


@pytest.mark.parametrize("folder", ["all-idb2", "wbc-jtsc"])
def test_whole_smears_are_picture_everywhere(data_dir, folder):
    files = sorted((data_dir / folder / "images").glob("*.png"))[::10]
    assert files
    for path in files:
        assert find_foreground(read(path)).all(), path.name


def test_cells_of_c_nmc_are_found_in_one_piece_without_holes(data_dir):
    files = sorted((data_dir / "c-nmc/C-NMC_Leukemia/training_data/fold_1").glob("*/*"))[::240]
    assert files
    for path in files:
        image = read(path)
        found = find_foreground(image)
        assert 0.03 < found.mean() < 0.7, path.name
        assert found[image.any(axis=2)].all(), path.name
        assert ndimage.label(found)[1] == 1, path.name
        np.testing.assert_array_equal(ndimage.binary_fill_holes(found), found)
