import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter

from oadls.data.detail import SIDE, hash_detail, image_detail


def smooth_picture():
    """(SIDE, SIDE, 3) uint8 of smooth random structure, nowhere black."""
    noise = np.random.default_rng(0).normal(size=(SIDE, SIDE, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 40 * smooth / smooth.std(), 1, 255).astype(np.uint8)


def bits_that_differ(a, b):
    return (int(hash_detail(a), 16) ^ int(hash_detail(b), 16)).bit_count()


def test_hash_of_detail_is_kept_by_every_shift_and_not_by_another_picture():
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 256, (5, 128, 128, 1)).astype(np.uint8).repeat(3, axis=3)
    fine = [image_detail(image) for image in noise]
    frequency = np.fft.fftfreq(128)[:, None] * 31 + np.fft.rfftfreq(128) * -50
    shifted = [spectrum * np.exp(2j * np.pi * frequency) for spectrum in fine]
    assert [bits_that_differ(a, b) for a, b in zip(fine, shifted, strict=True)] == [0] * 5
    apart = [bits_that_differ(a, b) for i, a in enumerate(fine) for b in fine[:i]]
    assert min(apart) > 90
    assert max(apart) < 166


@pytest.mark.parametrize("gray", [0, 7, 255])
def test_hash_of_detail_of_a_flat_image_has_64_digits_too(gray):
    digits = hash_detail(image_detail(np.full((40, 40, 3), gray, np.uint8)))
    assert len(bytes.fromhex(digits)) == 32


@pytest.mark.parametrize("cut_out", [False, True])
def test_detail_is_what_a_gaussian_leaves_of_the_picture(cut_out):
    image = smooth_picture()
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    image[(np.hypot(y, x) > 40) & cut_out] = 0
    gray = np.asarray(Image.fromarray(image).convert("L"), dtype=float)
    inside = gray > 0
    fine = gray - gaussian_filter(gray, 3) / np.maximum(gaussian_filter(inside * 1.0, 3), 1e-3)
    fine[~binary_erosion(inside, iterations=3, border_value=1)] = 0
    expected = np.fft.rfft2(fine / np.linalg.norm(fine))
    np.testing.assert_allclose(image_detail(image), expected, atol=1e-3)
