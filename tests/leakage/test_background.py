"""Behind the disc neither the cell nor its size can be seen."""

import cv2
import numpy as np
import pandas as pd
import pytest

from oadls.leakage.background import disc_radius, hide_cell, no_background


def picture(radius: int, *, side: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A round cell on noise, and its mask."""
    image = np.random.default_rng(0).integers(150, 250, (side, side, 3)).astype(np.uint8)
    mask = cv2.circle(np.zeros((side, side), np.uint8), (50, 60), radius, 255, thickness=-1)
    image[mask > 0] = 40
    return image, mask


def test_cells_of_two_sizes_leave_the_same_picture() -> None:
    small, large = (hide_cell(*picture(r), radius=30, size=120) for r in (12, 25))
    np.testing.assert_array_equal(small[0], large[0])
    assert small[0].min() >= 150
    assert (small[1] > 0).sum() == pytest.approx(np.pi * 30**2, rel=0.03)


def test_what_is_outside_the_disc_is_shown() -> None:
    image, mask = picture(12)
    shown, hidden = hide_cell(image, mask, radius=20, size=120)
    far = cv2.dilate(hidden, np.ones((15, 15), np.uint8)) == 0
    np.testing.assert_array_equal(shown[far], image[far])


def test_a_cell_larger_than_the_disc_is_hidden_whole() -> None:
    shown, _ = hide_cell(*picture(35), radius=10, size=120)
    assert shown.min() >= 150


def test_an_image_without_a_cell_is_hidden_in_its_middle() -> None:
    image, mask = picture(12)
    _, hidden = hide_cell(image, np.zeros_like(mask), radius=20, size=120)
    assert hidden[60, 60] > 0


def cells(**more: object) -> pd.DataFrame:
    columns = {"cell_area": np.pi * 20.0**2, "cell_eccentricity": 0.0, "black_fraction": 0.0}
    return pd.DataFrame([columns | {"height": 100, "width": 100} | more] * 10)


def test_the_disc_covers_the_longer_axis_of_nearly_all_cells() -> None:
    assert disc_radius(cells()) == 20
    assert disc_radius(cells(cell_eccentricity=0.8)) == pytest.approx(20 / 0.6**0.5, abs=0.1)
    one_is_huge = pd.concat([cells()] * 3 + [cells(cell_area=9e4)[:1]])
    assert disc_radius(one_is_huge) == 20
    one_is_absent = pd.concat([cells(), cells(cell_area=0.0, cell_eccentricity=np.nan)[:1]])
    assert disc_radius(one_is_absent) == 20


def test_cut_out_cells_and_cells_that_fill_the_picture_have_no_background() -> None:
    assert no_background(cells()) == ""
    assert "black" in no_background(cells(black_fraction=0.6))
    assert "fill" in no_background(cells(cell_area=9500.0))
