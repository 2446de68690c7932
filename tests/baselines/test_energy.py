import numpy as np
import pytest

from oadls.baselines.energy import cell_energy, wavelet_energies
from tests.baselines.cells import grainy_cell
from tests.oracles.cooccurrence import second_moment, shares_of_pairs


def gray_cell(grays, codes):
    """(image, mask) of rows of gray values; on gray, every weighting of colours is the identity."""
    plane = np.array(grays, np.uint8)
    return np.repeat(plane[..., None], 3, axis=2), np.array(codes, np.uint8)


def test_energies_on_paper():
    # Nucleus of 2 x 2 at the top left: 0 0 / 0 255; beside it cytoplasm, below it background.
    image, mask = gray_cell(
        [[0, 0, 51, 102], [0, 255, 51, 51], [9, 9, 9, 9], [9, 9, 9, 9]],
        [[255, 255, 128, 128], [255, 255, 128, 128], [0] * 4, [0] * 4],
    )
    facts = cell_energy(image, mask)
    # histogram: shares 3/4 and 1/4; 3/4 and 1/4
    assert facts["nucleus_histogram"] == pytest.approx(10 / 16)
    assert facts["cytoplasm_histogram"] == pytest.approx(10 / 16)
    # sum I² / area with I as a share of white
    assert facts["nucleus_signal"] == pytest.approx(1 / 4)
    assert facts["cytoplasm_signal"] == pytest.approx((3 * 0.2**2 + 0.4**2) / 4)
    # across: 0-0, 0-255, both ways: shares 2/4, 1/4, 1/4
    assert facts["nucleus_glcm_gray_1_0"] == pytest.approx(6 / 16)
    assert facts["nucleus_glcm_gray_1_90"] == pytest.approx(6 / 16)
    assert facts["nucleus_glcm_gray_1_45"] == pytest.approx(1 / 2)  # 0-255 alone, both ways
    assert facts["nucleus_glcm_gray_1_135"] == pytest.approx(1)  # 0-0 alone
    assert facts["nucleus_glcm_gray_2_0"] == 0  # no pixel of the nucleus is 2 px from another


def test_co_occurrence_energies_are_those_of_a_loop():
    image, mask = grainy_cell()
    facts = cell_energy(image, mask, levels=8)
    for name, band in zip("rgb", range(3), strict=True):
        for part, code in (("nucleus", 255), ("cytoplasm", 128)):
            for distance in (1, 2, 4):
                for angle in (0, 45, 90, 135):
                    shares = shares_of_pairs(
                        image[..., band], mask == code, distance=distance, angle=angle, levels=8
                    )
                    found = facts[f"{part}_glcm_{name}_{distance}_{angle}"]
                    assert found == pytest.approx(second_moment(shares))


def test_the_sub_bands_share_out_the_variance_of_the_part():
    image, mask = grainy_cell()
    facts = cell_energy(np.repeat(image[..., :1], 3, axis=2), mask)
    for part, code in (("nucleus", 255), ("cytoplasm", 128)):
        shares = [value for key, value in facts.items() if key.startswith(f"{part}_wavelet")]
        assert len(shares) == 10
        assert sum(shares) == pytest.approx((image[mask == code][:, 0] / 255).var())


def test_fine_grain_and_coarse_blocks_have_their_energy_at_their_own_scale():
    rows, columns = np.indices((64, 64))
    whole = np.ones((64, 64), bool)
    checkers = wavelet_energies((255 * ((rows + columns) % 2)).astype(np.uint8), whole)
    stripes = wavelet_energies((255 * (rows % 2)).astype(np.uint8), whole)
    halves = wavelet_energies((255 * (rows < 32)).astype(np.uint8), whole)
    assert checkers["d1"] > 0.8 * sum(checkers.values())
    assert stripes["h1"] > 0.8 * sum(stripes.values())  # horizontal lines
    assert halves["a3"] > 0.8 * sum(halves.values())


def test_a_flat_part_is_all_energy_of_one_gray_and_no_wavelet():
    image, mask = gray_cell(np.full((30, 30), 51), np.full((30, 30), 255))
    facts = cell_energy(image, mask)
    for key, value in facts.items():
        if key.startswith("nucleus"):
            expected = 0.04 if key.endswith("signal") else 0 if "wavelet" in key else 1
            assert value == pytest.approx(expected, abs=1e-12), key


def test_neither_the_background_nor_the_place_of_the_cell_counts():
    image, mask = grainy_cell()
    facts = cell_energy(image, mask)
    other = image.copy()
    other[mask == 0] = 0
    assert cell_energy(other, mask) == facts
    moved, at = np.roll(image, (5, -3), axis=(0, 1)), np.roll(mask, (5, -3), axis=(0, 1))
    assert cell_energy(moved, at) == facts


def test_a_part_that_is_absent_has_zeros_under_the_same_names():
    image, mask = grainy_cell()
    names = list(cell_energy(image, mask))
    assert len(names) == 2 * (4 * 3 * 4 + 10 + 2)
    bare = cell_energy(image, np.where(mask == 128, 0, mask).astype(np.uint8))
    none = cell_energy(image, np.zeros_like(mask))
    assert list(bare) == list(none) == names
    assert all(value == 0 for key, value in bare.items() if key.startswith("cytoplasm"))
    assert not any(none.values())


@pytest.mark.filterwarnings("error")
def test_a_part_of_one_pixel_has_finite_energies():
    image, mask = grainy_cell()
    mask = np.zeros_like(mask)
    mask[3, 3], mask[20, 20] = 255, 128
    assert np.isfinite(list(cell_energy(image, mask).values())).all()


def test_other_arrays_are_refused():
    image, mask = grainy_cell()
    with pytest.raises(ValueError, match="image must be"):
        cell_energy(image / 255, mask)
    with pytest.raises(ValueError, match="mask must be"):
        cell_energy(image, mask[:-1])
