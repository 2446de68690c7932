"""The Wiener filter written out frequency by frequency (paper, eq. 3; spectral mode)."""

import numpy as np
from skimage.restoration import estimate_sigma


def spectral_wiener(channel, *, noise=None, psf_sigma=0.0, pad, quantization=0.0):
    """One channel, (H, W) float64; `pad` is ((top, bottom), (left, right)) in px."""
    if noise is None:
        noise = estimate_sigma(channel) ** 2
    if psf_sigma:
        noise = max(noise, quantization)
    padded = np.pad(channel, pad, mode="reflect")
    mean = padded.mean()
    spectrum = np.fft.fft2(padded - mean)
    height, width = spectrum.shape
    power = np.abs(spectrum) ** 2 / (height * width)
    restored = np.zeros_like(spectrum)
    for row in range(height):
        for column in range(width):
            fy = (row if row <= height // 2 else row - height) / height
            fx = (column if column <= width // 2 else column - width) / width
            transfer = np.exp(-2 * np.pi**2 * psf_sigma**2 * (fx**2 + fy**2))
            around = [
                power[(row + i) % height, (column + j) % width]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            signal = max(sum(around) / 9 - noise, 1e-3 * noise) / max(transfer**2, 1e-3)
            gain = transfer / (transfer**2 + noise / signal)
            restored[row, column] = gain * spectrum[row, column]
    whole = np.fft.ifft2(restored).real + mean
    (top, _), (left, _) = pad
    rows, columns = channel.shape
    return np.clip(whole[top : top + rows, left : left + columns], 0, 1)
