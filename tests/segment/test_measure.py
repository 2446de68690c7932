import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, ellipse
from skimage.measure import regionprops

from oadls.segment.measure import eccentricity, hull_area, measure, perimeter

NAMES = {
    "cell_area", "nucleus_area", "cytoplasm_area", "nc_ratio",
    "cell_perimeter", "cell_solidity", "cell_eccentricity",
    "nucleus_perimeter", "nucleus_solidity", "nucleus_eccentricity",
    *(f"{part}_mean_{band}" for part in ("cell", "nucleus", "cytoplasm") for band in "rgb"),
    *(f"background_mean_{band}" for band in "rgb"), "cell_contrast", "cell_sharpness",
}  # fmt: skip


def disk_cell(*, cell=60, nucleus=40, side=200):
    """A round cell with a round nucleus in flat colours."""
    mask = np.zeros((side, side), dtype=np.uint8)
    image = np.full((side, side, 3), 240, dtype=np.uint8)
    for radius, code, colour in ((cell, 128, (180, 160, 210)), (nucleus, 255, (90, 30, 120))):
        if radius:
            inside = disk((side / 2, side / 2), radius)
            mask[inside], image[inside] = code, colour
    return image, mask


def test_disks_have_the_areas_and_outlines_of_circles():
    facts = measure(*disk_cell())
    assert facts["cell_area"] == pytest.approx(math.pi * 60**2, rel=0.01)
    assert facts["nucleus_area"] == pytest.approx(math.pi * 40**2, rel=0.01)
    assert facts["cytoplasm_area"] == facts["cell_area"] - facts["nucleus_area"]
    assert facts["nc_ratio"] == pytest.approx((40 / 60) ** 2, rel=0.01)
    assert facts["cell_perimeter"] == pytest.approx(2 * math.pi * 60, rel=0.06)
    assert facts["nucleus_perimeter"] == pytest.approx(2 * math.pi * 40, rel=0.06)
    for part in ("cell", "nucleus"):
        assert facts[f"{part}_solidity"] > 0.98
        assert facts[f"{part}_eccentricity"] < 0.05


def test_a_blurred_cell_is_less_sharp_and_a_flat_one_has_no_contrast():
    rng = np.random.default_rng(0)
    image, mask = disk_cell()
    textured = np.clip(image + rng.normal(0, 20, image.shape), 0, 255).astype(np.uint8)
    blurred = ndimage.gaussian_filter(textured, (1.5, 1.5, 0))
    sharp, soft = measure(textured, mask), measure(blurred, mask)
    assert soft["cell_sharpness"] < sharp["cell_sharpness"] / 3
    flat = measure(np.full_like(image, 90), mask)
    assert flat["cell_contrast"] == 0
    assert flat["cell_sharpness"] == 0


def test_the_background_is_neither_cell_nor_black():
    image, mask = disk_cell()
    assert measure(image, mask)["background_mean_g"] == pytest.approx(240)
    cut_out = np.where(mask[..., None] > 0, image, np.uint8(0))
    assert np.isnan(measure(cut_out, mask)["background_mean_g"])


def test_ellipse_has_the_eccentricity_of_its_axes():
    mask = np.zeros((200, 240), dtype=np.uint8)
    mask[ellipse(100, 120, 80, 100)] = 128
    mask[ellipse(100, 120, 30, 60, rotation=0.5)] = 255
    facts = measure(np.zeros((200, 240, 3), np.uint8), mask)
    assert facts["cell_eccentricity"] == pytest.approx(math.sqrt(1 - 0.8**2), abs=0.01)
    assert facts["nucleus_eccentricity"] == pytest.approx(math.sqrt(1 - 0.5**2), abs=0.01)
    assert facts["cell_area"] == pytest.approx(math.pi * 80 * 100, rel=0.01)


def test_colours_are_those_of_the_parts():
    facts = measure(*disk_cell())
    assert [facts[f"nucleus_mean_{band}"] for band in "rgb"] == pytest.approx([90, 30, 120])
    assert [facts[f"cytoplasm_mean_{band}"] for band in "rgb"] == pytest.approx([180, 160, 210])
    share = facts["nc_ratio"]
    assert facts["cell_mean_r"] == pytest.approx(90 * share + 180 * (1 - share))


def test_mean_colour_is_exact_on_a_large_bright_cell():
    image = np.random.default_rng(0).integers(200, 256, (900, 900, 3)).astype(np.uint8)
    mask = np.full((900, 900), 128, np.uint8)
    facts = measure(image, mask)
    for index, band in enumerate("rgb"):
        assert facts[f"cell_mean_{band}"] == pytest.approx(image[..., index].mean(), rel=1e-6)


def test_bitten_disk_is_less_solid():
    image, mask = disk_cell(nucleus=0)
    mask[disk((100, 150), 40)] = 0
    assert measure(image, mask)["cell_solidity"] < 0.9


def test_hull_area_equals_skimage_on_random_objects():
    rng = np.random.default_rng(0)
    for trial in range(60):
        height, width = rng.integers(1, 40, 2)
        field = ndimage.gaussian_filter(rng.random((height, width)), rng.uniform(0, 4))
        part = field > np.quantile(field, rng.uniform(0, 0.99))
        if trial % 4 == 0:
            part = rng.random((height, width)) < 0.1
        if part.any():
            assert hull_area(part) == regionprops(part.astype(np.uint8))[0].area_convex, trial


def test_perimeter_and_eccentricity_equal_skimage_on_random_objects():
    rng = np.random.default_rng(1)
    for trial in range(60):
        height, width = rng.integers(1, 40, 2)
        field = ndimage.gaussian_filter(rng.random((height, width)), rng.uniform(0, 4))
        part = field > np.quantile(field, rng.uniform(0, 0.99))
        if part.any():
            (region,) = regionprops(part.astype(np.uint8))
            assert perimeter(part) == pytest.approx(region.perimeter, rel=1e-12), trial
            expected = float(region.eccentricity)
            assert eccentricity(part) == pytest.approx(expected, abs=1e-7, rel=1e-9), trial


def test_measurements_equal_regionprops_of_the_whole_image():
    image, mask = disk_cell(cell=50, nucleus=20)
    mask[disk((110, 125), 15)] = 255
    facts = measure(image, mask)
    (cell,) = regionprops((mask > 0).astype(np.uint8))
    (nucleus,) = regionprops((mask == 255).astype(np.uint8))
    for name, region in (("cell", cell), ("nucleus", nucleus)):
        for fact in ("area", "perimeter", "solidity", "eccentricity"):
            assert facts[f"{name}_{fact}"] == pytest.approx(float(region[fact]), rel=1e-9)


def test_place_in_the_image_does_not_matter():
    image, mask = disk_cell(cell=30, nucleus=18, side=100)
    wide, wide_mask = np.zeros((300, 260, 3), np.uint8), np.zeros((300, 260), np.uint8)
    wide[150:250, 40:140], wide_mask[150:250, 40:140] = image, mask
    assert measure(wide, wide_mask) == pytest.approx(measure(image, mask))


def test_cell_that_fills_the_image_is_measured():
    facts = measure(np.full((30, 20, 3), 7, np.uint8), np.full((30, 20), 255, np.uint8))
    assert facts["cell_area"] == facts["nucleus_area"] == 600
    assert facts["nc_ratio"] == facts["nucleus_solidity"] == 1
    assert math.isnan(facts["cytoplasm_mean_r"])


def test_missing_nucleus_gives_nan_and_the_area_0():
    facts = measure(*disk_cell(nucleus=0))
    assert facts["nucleus_area"] == facts["nc_ratio"] == 0
    unknown = {name for name, value in facts.items() if math.isnan(value)}
    assert unknown == {name for name in NAMES if name.startswith("nucleus_")} - {"nucleus_area"}


def test_empty_mask_gives_areas_of_0_and_nan_otherwise():
    image, mask = disk_cell(cell=0, nucleus=0)
    facts = measure(image, mask)
    known = {name for name, value in facts.items() if not math.isnan(value)}
    known -= {f"background_mean_{band}" for band in "rgb"}
    assert known == {"cell_area", "nucleus_area", "cytoplasm_area"}
    assert all(facts[name] == 0 for name in known)


@pytest.mark.parametrize("pixels", [[(5, 5)], [(5, 5), (5, 6)], [(3, 3), (4, 4), (5, 5)]])
def test_tiniest_nucleus_is_measured_without_nan_in_its_shape(pixels):
    image, mask = disk_cell(cell=0, nucleus=0, side=20)
    for pixel in pixels:
        mask[pixel] = 255
    facts = measure(image, mask)
    assert facts["nucleus_area"] == len(pixels)
    assert math.isfinite(facts["nucleus_eccentricity"])
    assert 0 < facts["nucleus_solidity"] <= 1


@pytest.mark.parametrize("radii", [(60, 40), (60, 0), (0, 0)])
def test_names_are_always_the_same_and_values_plain_floats(radii):
    facts = measure(*disk_cell(cell=radii[0], nucleus=radii[1]))
    assert set(facts) == NAMES
    assert all(type(value) is float for value in facts.values())


def test_wrong_arrays_are_refused():
    image, mask = disk_cell()
    with pytest.raises(ValueError, match="uint8 RGB"):
        measure(image.astype(np.float32), mask)
    with pytest.raises(ValueError, match="mask must be"):
        measure(image, mask > 0)
    with pytest.raises(ValueError, match="128 and 255"):
        measure(image, mask // 128)
