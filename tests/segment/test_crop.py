"""The network sees what `keep` says, at the size that `window` says."""

import cv2
import numpy as np
import pytest

from oadls.segment.crop import crop


def picture(side: int = 100, radius: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A red disk on a green ground, off the centre, with its mask."""
    y, x = np.mgrid[:side, :side]
    disk = (x - 60) ** 2 + (y - 45) ** 2 <= radius**2
    image = np.where(disk[..., None], (200, 30, 30), (40, 180, 40)).astype(np.uint8)
    return image, np.where(disk, 128, 0).astype(np.uint8)


def test_only_the_cell_is_kept_and_it_is_central() -> None:
    shown, codes = crop(*picture(), keep="cell", size=64, window=80)
    inside = codes > 0
    assert shown[inside][:, 0].mean() > 190
    assert shown[:10].max() == 0
    rows, columns = np.nonzero(inside)
    assert abs(rows.mean() - 31.5) < 0.6
    assert abs(columns.mean() - 31.5) < 0.6


@pytest.mark.parametrize("radius", [8, 16, 24])
def test_a_fixed_window_keeps_the_true_size_visible(radius: int) -> None:
    _, codes = crop(*picture(radius=radius), keep="cell", size=120, window=60)
    assert (codes > 0).sum() == pytest.approx(np.pi * (2 * radius) ** 2, rel=0.06)


@pytest.mark.parametrize("radius", [8, 16, 24])
def test_without_a_window_every_cell_fills_the_picture(radius: int) -> None:
    _, codes = crop(*picture(radius=radius), keep="cell", size=110, margin=0.1)
    assert np.ptp(np.nonzero(codes)[0]) == pytest.approx(100, abs=6)


def test_a_cell_larger_than_the_window_is_shrunk_to_fit() -> None:
    _, codes = crop(*picture(radius=30), keep="cell", size=100, window=20)
    assert not codes[0].any()
    assert not codes[:, -1].any()
    assert np.ptp(np.nonzero(codes)[0]) > 90


def test_the_whole_image_is_shown_whole() -> None:
    image, mask = picture()
    shown, _ = crop(image, mask, keep="everything", cut=False, size=100)
    np.testing.assert_array_equal(shown, image)


def test_mask_and_window_are_apart() -> None:
    """A window without the mask, and the mask without a window."""
    image, mask = picture()
    windowed, codes = crop(image, mask, keep="everything", size=60, window=60)
    assert (codes > 0).sum() == pytest.approx((mask > 0).sum(), rel=0.02)
    assert windowed.min(axis=-1).all()  # nothing is black
    masked, codes = crop(image, mask, keep="cell", cut=False, size=100)
    np.testing.assert_array_equal(codes, mask)
    assert not masked[mask == 0].any()
    np.testing.assert_array_equal(masked[mask > 0], image[mask > 0])


def test_the_background_hides_the_cell_and_its_outline() -> None:
    image, mask = picture()
    shown, _ = crop(image, mask, keep="background", cut=False, size=100)
    assert np.ptp(shown.reshape(-1, 3).astype(int), axis=0).max() <= 1
    filled = np.full_like(mask, 128)
    blank, _ = crop(image, filled, keep="background", cut=False, size=100)
    assert not blank.any()


@pytest.mark.parametrize("size", [16, 60, 260])
@pytest.mark.parametrize("keep", ["cell", "everything"])
@pytest.mark.parametrize(("x", "y"), [(230, 150), (12, 290), (295, 8)])
def test_the_window_is_that_of_the_whole_image_blurred(
    size: int, keep: str, x: int, y: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    mask = np.zeros((300, 300), np.uint8)
    cv2.circle(mask, (x, y), 25, 255, -1)
    shown, codes = crop(image, mask, keep=keep, size=size, window=80)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
    whole = image * (mask > 0)[..., None] if keep == "cell" else image
    if size < 80:
        whole = cv2.GaussianBlur(whole, (0, 0), sigmaX=0.5 * np.sqrt((80 / size) ** 2 - 1))
    window = np.array([[size / 80, 0], [0, size / 80]])
    affine = np.column_stack([window, (size - 1) / 2 - window @ centre])
    flags = (cv2.INTER_CUBIC, cv2.INTER_NEAREST)
    assert np.array_equal(shown, cv2.warpAffine(whole, affine, (size, size), flags=flags[0]))
    assert np.array_equal(codes, cv2.warpAffine(mask, affine, (size, size), flags=flags[1]))
