"""Coordinates, contours and textures that the drawings share; lengths are in micrometres."""

import numpy as np
from scipy import fft

FIELD_UM = 24.0  # side of a picture: ALL-IDB2's 257 px at about 0.093 um
ANGLES = 512  # a contour's radius is tabulated at so many angles


def field_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (size, 1) and (1, size) float32 in um, 0 in the middle of the field."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * np.float32(FIELD_UM)
    return axis[:, None], axis[None, :]


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """1 well inside (negative distance), 0 well outside, 0.5 on the contour."""
    return np.asarray(0.5 - 0.5 * np.tanh(distance / width))


def texture(size: int, *, scale_um: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise (size, size) float32 of unit variance, correlated over `scale_um`.

    White noise through a Gaussian filter, written straight in the frequency domain.
    """
    gain = gaussian_response(size, sigma_um=scale_um)  # (H, W // 2 + 1)
    real, imaginary = rng.standard_normal((2, *gain.shape), dtype=np.float32)
    noise = fft.irfft2(gain * (real + 1j * imaginary), s=(size, size))
    return np.asarray(noise / noise.std())


def gaussian_response(size: int, *, sigma_um: float) -> np.ndarray:
    """Response of a Gaussian blur at the frequencies of `rfft2` of a field, float32 in [0, 1]."""
    spacing = FIELD_UM / size
    rows, columns = fft.fftfreq(size, spacing), fft.rfftfreq(size, spacing)
    fall_rows, fall_columns = (
        np.exp(-2 * (np.pi * sigma_um * axis) ** 2).astype(np.float32) for axis in (rows, columns)
    )
    return np.outer(fall_rows, fall_columns)


def waves(rng: np.random.Generator, *, orders: tuple[int, ...], amplitude: float) -> np.ndarray:
    """A closed contour's relative bumps (ANGLES,): cosines of the orders, falling as 1/order."""
    theta = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    weight, phase = rng.standard_normal(len(orders)), rng.uniform(0, 2 * np.pi, len(orders))
    terms = zip(orders, weight, phase, strict=True)
    return np.asarray(sum(amplitude * w / k * np.cos(k * theta + p) for k, w, p in terms))


def notch(*, angle: float, depth: float, width: float) -> np.ndarray:
    """An indentation of the contour (ANGLES,): relative loss of radius around `angle`, radians."""
    theta = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    away = np.angle(np.exp(1j * (theta - angle)))
    return np.asarray(-depth * np.exp(-0.5 * (away / width) ** 2))


def contour(bumps: np.ndarray, *, radius: float) -> np.ndarray:
    """Radius at each angle (ANGLES,), scaled so that the area is that of a disk of `radius`."""
    shape = np.maximum(1 + bumps, 0.3)
    return np.asarray(radius * shape / np.sqrt(np.mean(shape**2)))


def signed_distance(outline: np.ndarray, *, centre: tuple[float, float], size: int) -> np.ndarray:
    """Distance to a star-shaped contour (size, size) float32 in um, negative inside.

    First order in the slope of the contour: exact on a circle, close near the line elsewhere.
    """
    rows, columns = field_grid(size)
    y, x = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    step = 2 * np.pi / ANGLES
    slope = (np.roll(outline, -1) - np.roll(outline, 1)) / (2 * step)
    tilt = 1 / np.sqrt(1 + (slope / outline) ** 2)
    index = np.rint(np.arctan2(y, x) / np.float32(step)).astype(np.intp) % ANGLES
    gap = np.hypot(y, x) - outline.astype(np.float32)[index]
    return np.asarray(gap * tilt.astype(np.float32)[index])
