import math

import numpy as np
import pytest
from skimage.draw import disk, ellipse

from oadls.baselines.shape import shape_and_texture
from tests.baselines.cells import grainy_cell
from tests.oracles.cooccurrence import haralick, shares_of_pairs


def flat_cell(outline, *, nucleus, side=160):
    mask = np.zeros((side, side), np.uint8)
    mask[outline] = 128
    mask[nucleus] = 255
    return np.full((side, side, 3), 90, np.uint8), mask


def test_a_disk_is_round_and_an_ellipse_is_long():
    image, mask = flat_cell(disk((80, 80), 60), nucleus=ellipse(80, 80, 20, 40))
    facts = shape_and_texture(image, mask)
    assert facts["cell_form_factor"] == pytest.approx(1, abs=0.12)
    assert facts["cell_elongation"] == pytest.approx(0, abs=0.01)
    assert facts["cell_extent"] == pytest.approx(math.pi / 4, rel=0.02)
    assert facts["nucleus_elongation"] == pytest.approx(0.5, abs=0.02)
    assert facts["nucleus_form_factor"] < 0.9 * facts["cell_form_factor"]
    assert facts["nc_ratio"] == pytest.approx(20 * 40 / 60**2, rel=0.02)


def test_a_star_has_a_smaller_form_factor_than_a_square():
    square = np.zeros((160, 160), bool)
    square[40:100, 40:100] = True
    star = square.copy()
    star[40:100:4, 100:130] = True  # bristles
    smooth, ragged = (
        shape_and_texture(*flat_cell(np.nonzero(part), nucleus=np.nonzero(part)))
        for part in (square, star)
    )
    assert ragged["cell_form_factor"] < 0.3 * smooth["cell_form_factor"]
    assert ragged["cell_solidity"] < smooth["cell_solidity"] == 1


def test_texture_is_that_of_a_loop_over_the_pairs_in_the_cell():
    image, mask = grainy_cell()
    image = np.repeat(image[..., :1], 3, axis=2)  # gray is then the same value
    found = shape_and_texture(image, mask, levels=16)
    every = [
        haralick(shares_of_pairs(image[..., 0], mask > 0, distance=1, angle=angle, levels=16))
        for angle in (0, 45, 90, 135)
    ]
    for name in every[0]:
        expected = np.mean([textures[name] for textures in every])
        assert found[f"cell_{name}"] == pytest.approx(expected)


def test_colours_are_means_and_standard_deviations_of_the_parts():
    image, mask = grainy_cell()
    facts = shape_and_texture(image, mask)
    parts = {"cell": mask > 0, "nucleus": mask == 255, "cytoplasm": mask == 128}
    for name, part in parts.items():
        for band, pixels in zip("rgb", image[part].T, strict=True):
            assert facts[f"{name}_mean_{band}"] == pytest.approx(pixels.mean())
            assert facts[f"{name}_std_{band}"] == pytest.approx(pixels.std())


def test_the_background_does_not_count():
    image, mask = grainy_cell()
    other = image.copy()
    other[mask == 0] = 255
    assert shape_and_texture(other, mask) == shape_and_texture(image, mask)


@pytest.mark.filterwarnings("error")
def test_what_is_absent_or_tiny_is_finite_under_the_same_names():
    image, mask = grainy_cell()
    names = list(shape_and_texture(image, mask))
    bare = np.where(mask == 128, 0, mask).astype(np.uint8)
    point, line = np.zeros_like(mask), np.zeros_like(mask)
    point[4, 4], line[4, 4:12] = 255, 128
    for some in (bare, np.zeros_like(mask), point, line):
        facts = shape_and_texture(image, some)
        assert list(facts) == names
        assert np.isfinite(list(facts.values())).all()
    assert not any(shape_and_texture(image, np.zeros_like(mask)).values())
