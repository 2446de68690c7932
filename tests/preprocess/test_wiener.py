import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import fft
from scipy.ndimage import gaussian_filter
from skimage import restoration
from skimage.draw import disk

from oadls.errors import UserError
from oadls.preprocess.foreground import find_foreground
from oadls.preprocess.wiener import (
    MODES,
    PAD,
    QUANTIZATION,
    adaptive,
    box3,
    constant_gain,
    estimate_noise,
    gaussian_transfer,
    spectral_gain,
    wiener,
)
from tests.oracles.wiener import spectral_wiener


def scene(shape=(40, 37), *, noise=0.03, seed=0):
    """A smooth disk on a ramp with noise: (H, W, 3) float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    disk = 0.3 * (np.hypot(y - 0.5, x - 0.4) < 0.25)
    image = np.stack([0.3 + 0.2 * x + disk, 0.6 - disk, 0.4 + 0.1 * y + disk], axis=2)
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 1).astype(np.float32)


def padding(shape):
    return [(PAD, fft.next_fast_len(n + 2 * PAD, real=True) - n - PAD) for n in shape]


def psnr(image, truth):
    return -10 * np.log10(np.mean((image.astype(np.float64) - truth) ** 2))


@pytest.mark.parametrize("shape", [(40, 37), (16, 29)])
@pytest.mark.parametrize(
    "given_settings", [{}, {"noise": 0.002}, {"psf_sigma": 1.0}, {"psf_sigma": 0.7, "noise": 0.0}]
)
def test_spectral_mode_equals_the_loop_over_frequencies(shape, given_settings):
    image = scene(shape)
    result = wiener(image, **given_settings)
    for channel in range(3):
        expected = spectral_wiener(
            image[..., channel].astype(np.float64),
            pad=padding(shape),
            quantization=QUANTIZATION,
            **given_settings,
        )
        np.testing.assert_allclose(result[..., channel], expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(32, 48), (33, 47), (33, 48), (32, 47)])
def test_constant_nsr_gain_equals_skimage_to_rounding(shape):
    channel = np.random.default_rng(1).random(shape)
    transfer = gaussian_transfer(shape, sigma=1.2).astype(np.float64)
    gain = constant_gain(transfer, np.array([0.05]))[0]
    ours = fft.irfft2(gain * fft.rfft2(channel), s=shape)
    theirs = restoration.wiener(
        channel, transfer.astype(complex), balance=0.05, reg=np.ones((1, 1)), clip=False
    )
    np.testing.assert_allclose(ours, theirs, atol=5e-15)


def test_constant_nsr_mode_equals_skimage_on_the_padded_channels():
    image = scene()
    result = wiener(image, mode="constant_nsr", nsr=0.02, psf_sigma=0.8)
    for channel in range(3):
        padded = np.pad(image[..., channel].astype(np.float64), padding((40, 37)), mode="reflect")
        transfer = gaussian_transfer(padded.shape, sigma=0.8).astype(complex)
        whole = restoration.wiener(
            padded - padded.mean(), transfer, balance=0.02, reg=np.ones((1, 1)), clip=False
        )
        expected = np.clip(whole[PAD : PAD + 40, PAD : PAD + 37] + padded.mean(), 0, 1)
        np.testing.assert_allclose(result[..., channel], expected, atol=2e-6)


def test_gaussian_transfer_is_the_spectrum_of_a_gaussian_kernel():
    y, x = np.meshgrid(np.arange(-20, 21), np.arange(-20, 21), indexing="ij")
    kernel = np.exp(-(x**2 + y**2) / (2 * 2.0**2))
    spectrum = fft.rfft2(fft.ifftshift(kernel / kernel.sum())).real
    np.testing.assert_allclose(gaussian_transfer((41, 41), sigma=2.0), spectrum, atol=1e-5)


@pytest.mark.parametrize("window", [3, 5, 7])
def test_local_filter_equals_scipy_on_interior_pixels(window):
    channel = scene()[..., 0].astype(np.float64)
    ours = adaptive(channel[None], np.array([1e-3]), window=window)[0]
    theirs = scipy.signal.wiener(channel, window, noise=1e-3)
    half = window // 2
    inner = np.s_[half:-half, half:-half]
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-12)


def test_local_mode_equals_scipy_on_the_interior_of_the_image():
    image = scene()
    result = wiener(image, mode="local", noise=1e-3, window=5)
    for channel in range(3):
        expected = scipy.signal.wiener(image[..., channel].astype(np.float64), 5, noise=1e-3)
        np.testing.assert_allclose(
            result[2:-2, 2:-2, channel], expected[2:-2, 2:-2].clip(0, 1), atol=1e-5
        )


@pytest.mark.parametrize("shape", [(8, 10), (9, 11), (8, 11), (9, 10)])
def test_box3_is_the_circular_mean_of_the_whole_plane(shape):
    image = np.random.default_rng(0).random(shape)
    power = np.abs(np.fft.fft2(image)) ** 2
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    whole = sum(np.roll(power, shift, axis=(0, 1)) for shift in shifts) / 9
    half = shape[1] // 2 + 1
    np.testing.assert_allclose(
        box3(power[None, :, :half], columns=shape[1])[0], whole[:, :half], rtol=1e-10
    )


def test_estimated_noise_equals_skimage():
    image = scene((65, 50), noise=0.05)
    planes = np.moveaxis(image, 2, 0).astype(np.float64)
    expected = np.square(restoration.estimate_sigma(image.astype(np.float64), channel_axis=-1))
    np.testing.assert_allclose(estimate_noise(planes), expected, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_no_noise_and_no_blur_is_the_identity(mode):
    image = scene()
    np.testing.assert_allclose(wiener(image, mode=mode, noise=0.0), image, atol=2e-6)


def test_vanishing_noise_approaches_the_identity():
    image = scene()
    np.testing.assert_allclose(wiener(image, noise=1e-12), image, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    noise=st.floats(0, 1e3),
    height=st.integers(3, 12),
    width=st.integers(3, 12),
)
def test_gain_lies_in_0_to_1_without_a_blur(seed, noise, height, width):
    power = np.random.default_rng(seed).exponential(size=(3, height, width // 2 + 1))
    gain = spectral_gain(power, np.ones(power.shape[1:]), np.full(3, noise), columns=width)
    assert gain.min() >= 0
    assert gain.max() <= 1


def test_deconvolution_sharpens_a_blurred_scene():
    truth = gaussian_filter(scene((96, 96), noise=0.0), (1, 1, 0))
    blurred = np.rint(gaussian_filter(truth, (1.5, 1.5, 0)) * 255) / np.float32(255)
    sharp = wiener(blurred, mode="constant_nsr", nsr=0.01, psf_sigma=1.5)
    assert psnr(sharp, truth) > psnr(blurred, truth) + 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_image_stays_flat_without_nan(mode, level):
    image = np.full((20, 20, 3), level, dtype=np.float32)
    np.testing.assert_allclose(wiener(image, mode=mode), image, atol=1e-6)
    np.testing.assert_allclose(wiener(image, mode=mode, noise=0.01), image, atol=1e-6)
    assert np.isfinite(wiener(image, mode=mode, foreground=np.zeros((20, 20), bool))).all()


@pytest.mark.parametrize("mode", MODES)
def test_black_surround_stays_exactly_black(mode):
    image = scene((60, 60))
    foreground = np.zeros((60, 60), dtype=bool)
    foreground[15:45, 10:50] = True
    image[~foreground] = 0
    result = wiener(image, foreground=foreground, mode=mode)
    assert not result[~foreground].any()
    assert result[foreground].any()
    assert result.dtype == np.float32


@pytest.mark.parametrize("mode", MODES)
def test_width_of_the_surround_does_not_matter(mode):
    image = scene((50, 44))
    foreground = np.zeros((50, 44), dtype=bool)
    foreground[disk((25, 22), 18)] = True
    image[~foreground] = 0
    margin = ((70, 40), (35, 90))
    wide = np.pad(image, (*margin, (0, 0)))
    wide_result = wiener(wide, foreground=np.pad(foreground, margin), mode=mode)
    np.testing.assert_array_equal(
        wide_result[70:120, 35:79], wiener(image, foreground=foreground, mode=mode)
    )


def test_noise_of_a_cut_out_cell_is_taken_off_as_that_of_a_whole_image():
    truth, image = scene((120, 120), noise=0.0), scene((120, 120), noise=0.04)
    foreground = np.zeros((120, 120), dtype=bool)
    foreground[disk((60, 48), 45)] = True
    image[~foreground] = truth[~foreground] = 0
    before = psnr(image[foreground], truth[foreground])
    apart, together = wiener(image, foreground=foreground), wiener(image)
    assert psnr(apart[foreground], truth[foreground]) > before + 3.5
    assert psnr(apart[foreground], truth[foreground]) > 2 + psnr(
        together[foreground], truth[foreground]
    )


@pytest.mark.parametrize("mode", ["spectral", "local"])
@pytest.mark.parametrize("sigma", [5, 10])
@pytest.mark.parametrize("folder", ["all-idb2", "wbc-jtsc", "c-nmc"])
def test_noisy_real_smears_come_nearer_to_the_clean_ones(real_smears, folder, sigma, mode):
    rng = np.random.default_rng(0)
    for path in real_smears(folder):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        foreground = find_foreground(pixels)
        truth = pixels / np.float32(255)
        noisy = (truth + rng.normal(0, sigma / 255, truth.shape)).clip(0, 1).astype(np.float32)
        noisy[~foreground] = 0
        clean = wiener(noisy, foreground=foreground, mode=mode)
        gain = psnr(clean[foreground], truth[foreground]) - psnr(
            noisy[foreground], truth[foreground]
        )
        assert gain > 1, f"{path.name}: {gain:.2f} dB"


def test_clean_real_smear_is_hardly_touched(data_dir):
    pixels = np.asarray(Image.open(data_dir / "all-idb2/images/Im001_1.png").convert("RGB"))
    truth = pixels / np.float32(255)
    assert psnr(wiener(truth), truth) > 45


def test_one_bright_side_does_not_ring_into_the_other():
    image = np.full((32, 64, 3), 0.2, dtype=np.float32)
    image[:, 32:] = 0.8
    result = wiener(image, noise=1e-3)
    assert np.abs(result[:, :4] - 0.2).max() < 0.02
    assert np.abs(result[:, -4:] - 0.8).max() < 0.02


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "median"},
        {"noise": -1.0},
        {"noise": float("nan")},
        {"psf_sigma": -0.5},
        {"mode": "constant_nsr", "nsr": -0.1},
        {"mode": "local", "psf_sigma": 1.0},
        {"mode": "local", "window": 4},
        {"mode": "local", "window": 33},
    ],
)
def test_wrong_setting_is_named(wrong):
    with pytest.raises(UserError, match="wiener: "):
        wiener(scene(), **wrong)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        wiener(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(20, 20\)"):
        wiener(np.zeros((20, 20), np.float32))
    with pytest.raises(ValueError, match="foreground"):
        wiener(scene(), foreground=np.ones((3, 3), bool))


def test_input_is_left_alone_and_the_tiniest_image_passes():
    image = scene((1, 1))
    before = image.copy()
    for mode in MODES:
        assert wiener(image, mode=mode).shape == (1, 1, 3)
    np.testing.assert_array_equal(image, before)
