"""Views of a cell are what they say."""

import numpy as np
import pytest

from oadls.data.augment import augment, dihedral

SETTINGS = {"hue": 0.05, "saturation": 0.3, "brightness": 0.2, "contrast": 0.2, "focus": 1.5}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    picture = np.random.default_rng(0).integers(1, 256, (32, 32, 3), dtype=np.uint8)
    picture[:8] = 0
    return picture


def test_the_first_view_is_the_image_itself(image: np.ndarray) -> None:
    np.testing.assert_array_equal(augment(image, view=0, **SETTINGS), image)


def test_the_same_view_gives_the_same_picture_and_another_view_another(image: np.ndarray) -> None:
    one, again = (augment(image, view=9, seed=3, **SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    for other in (
        augment(image, view=17, seed=3, **SETTINGS),
        augment(image, view=9, seed=4, **SETTINGS),
    ):
        assert not np.array_equal(one, other)


def test_without_stain_a_view_is_a_turn_or_a_mirror_image(image: np.ndarray) -> None:
    views = [augment(image, view=view) for view in range(8)]
    assert len({view.tobytes() for view in views}) == 8
    for view in views:
        np.testing.assert_array_equal(np.sort(view, axis=None), np.sort(image, axis=None))


def test_black_around_a_cut_out_cell_stays_black(image: np.ndarray) -> None:
    shown = augment(image, view=1, **SETTINGS)
    assert not shown[dihedral(image, 1).max(axis=-1) == 0].any()
