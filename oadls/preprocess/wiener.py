"""Wiener filter of the paper (section 3.1, equations 1 to 3), channel by channel."""

from typing import Literal

import cv2
import numpy as np
import pywt
from scipy import fft, ndimage

from oadls.errors import UserError
from oadls.preprocess.checks import check_foreground, check_image
from oadls.preprocess.foreground import bounding_box

MODES = ("spectral", "constant_nsr", "local")
PAD = 16  # px mirrored on every side, at least, so that opposite edges do not ring into each other
FLOOR = 1e-3  # least signal power in units of noise, and least |H|² to divide by
QUANTIZATION = (1 / 255) ** 2 / 12  # variance that rounding to 8 bits alone leaves behind
MAD_OF_NORMAL = 0.6744897501960817  # median |z| of a standard normal variable


def wiener(
    image: np.ndarray,
    *,
    foreground: np.ndarray | None = None,
    mode: Literal["spectral", "constant_nsr", "local"] = "spectral",
    noise: float | None = None,
    psf_sigma: float = 0.0,
    nsr: float | None = None,
    window: int = 5,
) -> np.ndarray:
    """Attenuate frequencies that hold more noise than signal (paper, eq. 3).

    Equation 2 of the paper prints its last ratio upside down; equation 3, used here, is right:
    S = G·X with G = H* / (|H|² + Pn/Ps).

    image      : (H, W, 3) float32 RGB in [0, 1]
    foreground : (H, W) bool, False on the black surround of cut-out cells. The surround comes back
                 as it was and takes no part in the estimates: it is filled with the mean colour
    mode       : "spectral" estimates Ps at every frequency; "constant_nsr" has one Pn/Ps for all;
                 "local" is the adaptive filter of Lim (1990) in a window, without a PSF
    noise      : variance Pn in squared intensity; estimated per channel when None
    psf_sigma  : px, standard deviation of a Gaussian blur to undo; 0 for none
    nsr        : Pn/Ps of "constant_nsr"; noise over the variance of the signal when None
    window     : px, odd side of the window of "local", 3 to 31
    returns (H, W, 3) float32 in [0, 1]
    raises UserError for a mode or a setting outside these ranges, ValueError for a wrong array
    """
    check_image(image, step="wiener")
    if foreground is not None:
        check_foreground(foreground, image, step="wiener")
    _check_settings(mode=mode, noise=noise, psf_sigma=psf_sigma, nsr=nsr, window=window)

    result = image.astype(np.float32)  # a copy
    if foreground is None:
        foreground = np.ones(image.shape[:2], dtype=bool)
    if foreground.any():
        box = bounding_box(foreground)
        padded, mean, inside = _centre(image[box], foreground[box])  # (3, h + 32, w + 32), …
        height, width = foreground[box].shape
        picture = np.s_[:, PAD : PAD + height, PAD : PAD + width]
        variance = estimate_noise(padded[picture]) if noise is None else np.full(3, noise)
        if mode == "local":
            clean = adaptive(padded, variance, window=window)
        else:
            clean = _filter(padded, inside, variance, mode=mode, psf_sigma=psf_sigma, nsr=nsr)
        clean = np.clip(clean[picture] + mean, 0.0, 1.0)  # (3, h, w)
        cv2.copyTo(cv2.merge(list(clean)), foreground[box].view(np.uint8), result[box])
    return result


def _filter(
    padded: np.ndarray,
    inside: np.ndarray,
    variance: np.ndarray,
    *,
    mode: str,
    psf_sigma: float,
    nsr: float | None,
) -> np.ndarray:
    """Equation 3 on (3, H, W) zero-mean planes that are 0 where (H, W) `inside` is False."""
    shape = padded.shape[1:]
    pixels = np.count_nonzero(inside)
    spectrum = fft.rfft2(padded)  # (3, H, W//2 + 1)
    transfer = gaussian_transfer(shape, sigma=psf_sigma)
    if mode == "constant_nsr":
        power = np.square(padded).sum(axis=(1, 2), dtype=np.float64) / pixels  # (3,)
        gain = constant_gain(
            transfer, _mean_nsr(power, variance) if nsr is None else np.full(3, nsr)
        )
    else:
        if psf_sigma:  # without it, noise 0 would divide by a transfer function that is 0
            variance = np.maximum(variance, QUANTIZATION)
        # Only the picture holds noise: with |X|² over its pixels, not over those of the filled
        # surround too, white noise of variance v has the power v at every frequency.
        power = (np.square(spectrum.real) + np.square(spectrum.imag)) / np.float32(pixels)
        gain = spectral_gain(power, transfer, variance, columns=shape[1])
    spectrum *= gain
    return fft.irfft2(spectrum, s=shape, overwrite_x=True)


def estimate_noise(planes: np.ndarray) -> np.ndarray:
    """Variance of white noise by the median absolute deviation of the finest wavelet band.

    Equals `skimage.restoration.estimate_sigma(...) ** 2` (Donoho & Johnstone 1994, db2), with only
    that band computed, and 0 instead of NaN where the band is empty. Coefficients of exactly zero
    (saturated or cut-out areas) are left out, as there.

    planes : (C, H, W) float
    returns (C,) float64, squared intensity
    """
    detail = [np.abs(_detail(_detail(plane))) for plane in planes]  # (H/2 + 1, W/2 + 1) each
    sigma = [np.median(band[band > 0]) if band.any() else 0.0 for band in detail]
    return np.square(np.asarray(sigma, dtype=np.float64) / MAD_OF_NORMAL)


def _detail(plane: np.ndarray) -> np.ndarray:
    """The finest detail down the columns of (H, W), transposed, for wavelets run fastest on rows.

    returns (W, H/2 + 1)
    """
    return pywt.dwt(cv2.transpose(plane), "db2")[1]


def gaussian_transfer(shape: tuple[int, ...], *, sigma: float) -> np.ndarray:
    """H = exp(−2π²σ²(fx² + fy²)) on the half plane of `rfft2`.

    shape : (H, W) of the image; sigma in px; returns (H, W//2 + 1) float32, (1, 1) for sigma 0: it
        is 1 everywhere
    """
    if sigma == 0:
        return np.ones((1, 1), np.float32)
    rows, columns = fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])  # cycles per px
    squared = np.square(rows)[:, None] + np.square(columns)  # (H, W//2 + 1)
    return np.exp(-2 * np.pi**2 * sigma**2 * squared).astype(np.float32)


def constant_gain(transfer: np.ndarray, nsr: np.ndarray) -> np.ndarray:
    """G of equation 3 with one noise-to-signal ratio per channel.

    transfer : (H, F) real, or (1, 1); nsr : (C,); returns (C, H, F), or (C, 1, 1)
    """
    ratio = nsr.astype(transfer.dtype)[:, None, None]
    # A transfer function that underflows to 0 without any noise holds nothing to restore.
    return transfer / np.maximum(np.square(transfer) + ratio, np.finfo(transfer.dtype).tiny)


def spectral_gain(
    power: np.ndarray, transfer: np.ndarray, noise: np.ndarray, *, columns: int
) -> np.ndarray:
    """G of equation 3 with the signal's power read off the smoothed periodogram.

    power    : (C, H, columns//2 + 1) |X|²/N, half plane of `rfft2`
    transfer : (H, columns//2 + 1) real, or (1, 1)
    noise    : (C,) variance
    columns  : width of the image whose half plane this is
    returns (C, H, columns//2 + 1), within [0, 1] when the transfer function is 1
    """
    noise = noise.astype(power.dtype)[:, None, None]
    squared = np.square(transfer)
    signal = np.maximum(box3(power, columns=columns) - noise, FLOOR * noise)
    signal /= np.maximum(squared, FLOOR)
    # Signal is 0 only where noise is 0 too: nothing to attenuate there.
    ratio = np.divide(noise, signal, out=np.zeros_like(signal), where=signal > 0)
    ratio += squared
    return np.divide(transfer, ratio, out=ratio)


def box3(power: np.ndarray, *, columns: int) -> np.ndarray:
    """3×3 mean on the circular frequency plane, of which `power` is the half that `rfft2` keeps.

    The columns beyond either end are the mirror image of a kept one: P(−f) = P(f) for a real image.
    power : (C, H, columns//2 + 1); returns the same shape
    """
    ends = [1, columns - power.shape[2]]  # what lies before the first column, and after the last
    beyond = power[:, :, ends]  # (C, H, 2)
    mirrored = np.roll(beyond[:, ::-1], 1, axis=1)  # row −f stands at f
    wide = np.concatenate([mirrored[:, :, :1], power, mirrored[:, :, 1:]], axis=2)
    across = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    total = across.copy()
    total[:, 1:] += across[:, :-1]
    total[:, :-1] += across[:, 1:]
    total[:, 0] += across[:, -1]
    total[:, -1] += across[:, 0]
    total /= 9
    return total


def adaptive(planes: np.ndarray, noise: np.ndarray, *, window: int) -> np.ndarray:
    """Local Wiener filter: m + max(v − Pn, 0) / max(v, Pn) · (x − m) (Lim 1990, p. 548).

    planes : (C, H, W) float, zero-mean for the precision of v; noise : (C,); returns (C, H, W)
    """
    noise = noise.astype(planes.dtype)[:, None, None]
    size = (1, window, window)
    mean = ndimage.uniform_filter(planes, size)
    variance = ndimage.uniform_filter(np.square(planes), size) - np.square(mean)
    signal = np.maximum(variance - noise, 0)
    whole = np.maximum(variance, noise)
    gain = np.divide(signal, whole, out=np.zeros_like(whole), where=whole > 0)
    return mean + gain * (planes - mean)


def _centre(image: np.ndarray, foreground: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirror the borders, subtract each channel's mean over the picture, put 0 elsewhere.

    The far borders are mirrored on to the next length that the FFT likes: 450 + 32 = 2 · 241 px
    would take seven times as long as 486.
    returns (3, H + 32, W + 32) float32 or a little larger; (3, 1, 1) means; the mirrored foreground
    """
    margin = [(PAD, fft.next_fast_len(n + 2 * PAD, real=True) - n - PAD) for n in image.shape[:2]]
    planes = np.moveaxis(image, 2, 0).astype(np.float32, copy=False)
    padded = np.pad(planes, ((0, 0), *margin), mode="reflect")
    inside = np.pad(foreground, margin, mode="reflect")
    total = np.asarray(padded.sum(axis=(1, 2), dtype=np.float64, where=inside))  # (3,)
    mean = (total / np.count_nonzero(inside)).astype(np.float32)[:, None, None]
    padded -= mean
    if not inside.all():
        padded *= inside
    return padded, mean, inside


def _mean_nsr(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Noise over the power of the signal, (C,) each; 0 for a flat channel without noise."""
    signal = np.maximum(power - noise, FLOOR * noise)
    return np.divide(noise, signal, out=np.zeros_like(signal), where=signal > 0)


def _check_settings(
    *, mode: str, noise: float | None, psf_sigma: float, nsr: float | None, window: int
) -> None:
    if mode not in MODES:
        raise UserError(f"wiener: mode must be one of {', '.join(MODES)}, got {mode!r}")
    for name, value in {"noise": noise, "psf_sigma": psf_sigma, "nsr": nsr}.items():
        if value is not None and not 0 <= value < np.inf:
            raise UserError(f"wiener: {name} must be a number from 0 on, got {value!r}")
    if mode == "local" and psf_sigma:
        raise UserError(f"wiener: mode local undoes no blur, psf_sigma must be 0, got {psf_sigma}")
    if window % 2 == 0 or not 3 <= window <= 2 * PAD - 1:
        raise UserError(f"wiener: window must be odd, 3 to {2 * PAD - 1} px, got {window}")
