"""The fine detail of an image: what tells whether two pictures show one cell."""

import numpy as np
import scipy.fft
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter, gaussian_filter1d

from oadls.preprocess.foreground import blacken, find_foreground

SIDE = 128  # px; the detail of every image is taken at this size
BLUR = gaussian_filter1d(np.eye(SIDE, dtype=np.float32), 3, axis=0)  # BLUR @ x @ BLUR.T
LOWEST, HIGHEST = 3, 14  # cycles in an image that are hashed; noise and encoding spoil finer ones
REACH = HIGHEST + 2  # what is smoothed into the band
_fy, _fx = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
_ring = np.rint(np.hypot(_fy, _fx)).astype(int)
HASHED = (_ring >= LOWEST) & (_ring <= HIGHEST) & ((_fx > 0) | ((_fx == 0) & (_fy > 0)))
RING = _ring[HASHED] - LOWEST  # of equal |f|; half the plane, the other half is its mirror image
PLANES = np.random.default_rng(0).standard_normal((len(RING), 256))


def image_detail(image: np.ndarray) -> np.ndarray:
    """The spectrum of what is finer than 3 / 128 of the image, of unit norm (near 0 if flat).

    image : (H, W, 3) uint8 RGB
    returns (SIDE, SIDE // 2 + 1) complex64
    The black surround takes no part, nor does the outline beside it: on cut-out cells all outlines
    look alike.
    """
    image = blacken(image, find_foreground(image))
    small = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, dtype=np.float32)  # (SIDE, SIDE)
    fine = gray - BLUR @ gray @ BLUR.T
    picture = gray > 0
    if not picture.all():  # else this would change nothing, but take time
        smooth = (BLUR @ gray @ BLUR.T) / np.maximum(BLUR @ picture @ BLUR.T, 1e-3)
        fine = np.where(binary_erosion(picture, iterations=3, border_value=1), gray - smooth, 0)
    norm = np.sqrt(np.sum(fine**2))
    return scipy.fft.rfft2(fine / max(norm, 1.0))  # below one step of one pixel is rounding


def hash_detail(spectrum: np.ndarray) -> str:
    """256 bits in hex that differ little between copies of a cell, wherever in the image it lies.

    spectrum : what `image_detail` returns
    A shift changes only the phases of a spectrum: its magnitudes are hashed. They are smoothed, as
    a crop smooths them, and divided by the mean of their ring, which is much the same in all
    cells. Each bit tells on which side of a random plane they lie (Charikar 2002).
    """
    rows = np.concatenate([spectrum[-REACH:], spectrum[: REACH + 1]])
    right = np.abs(rows[:, : REACH + 1])  # (2 REACH + 1, REACH + 1)
    whole = np.concatenate([right[::-1, :0:-1], right], axis=1)  # as |F(-f)| = |F(f)|
    magnitude = gaussian_filter(whole, 0.5)[HASHED]
    mean = (np.bincount(RING, magnitude) / np.bincount(RING))[RING]
    relative = (magnitude - mean) / np.maximum(mean, 1e-9)
    return np.packbits(relative @ PLANES > 0).tobytes().hex()
