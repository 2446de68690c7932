"""Cell energy: how evenly the gray of nucleus and of cytoplasm is spread, in numbers.

The row "SVM-Cell Energy Feature" of Table 3 has no source that could be found; these are the
energies that the field knows, of each of the two parts: of the co-occurrence matrix (Haralick
1973), of wavelet sub-bands, of the histogram, of the signal.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import pywt
from skimage.feature import graycoprops

from oadls.baselines.cooccurrence import ANGLES, cooccurrence
from oadls.preprocess.foreground import bounding_box
from oadls.segment.measure import CYTOPLASM, NUCLEUS, check_cell

DISTANCES = (1, 2, 4)  # px
WAVELET, DEPTH = "db2", 3
SHORTEST = 24  # px, on which db2 has three levels


def cell_energy(image: np.ndarray, mask: np.ndarray, *, levels: int = 32) -> dict[str, float]:
    """Energies of the nucleus and of the cytoplasm.

    image : (H, W, 3) uint8 RGB
    mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus
    levels : steps of gray in the co-occurrence matrices; with all 256, a part of some thousand
        pixels fills a matrix so thinly that its energy says little but how large the part is
    returns for either part, always in this order, 0 to 1 and 0 for a part that is absent:
        {part}_glcm_{gray,r,g,b}_{1,2,4}_{0,45,90,135}   angular second moment, the sum of squared
            shares (scikit-image's "ASM", whose root it calls "energy"), by distance and degrees
        {part}_wavelet_{a3,h3,v3,d3,h2,…,d1}   energy of a sub-band per pixel
        {part}_histogram   sum of the squared shares of the 256 grays
        {part}_signal      mean square of gray
    raises ValueError for arrays of another shape or type, and for other codes
    """
    check_cell(image, mask, step="cell_energy")
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # (H, W)
    channels = {"gray": gray, **dict(zip("rgb", np.moveaxis(image, 2, 0), strict=True))}
    energies = {}
    for part, code in (("nucleus", NUCLEUS), ("cytoplasm", CYTOPLASM)):
        region = mask == code
        for name, channel in channels.items():
            for key, value in _glcm_energies(channel, region, levels=levels):
                energies[f"{part}_glcm_{name}_{key}"] = value
        for band, value in wavelet_energies(gray, region).items():
            energies[f"{part}_wavelet_{band}"] = value
        energies[f"{part}_histogram"] = histogram_energy(gray[region])
        energies[f"{part}_signal"] = signal_energy(gray[region])
    return energies


def _glcm_energies(
    channel: np.ndarray, region: np.ndarray, *, levels: int
) -> Iterator[tuple[str, float]]:
    counts = cooccurrence(channel, region, distances=DISTANCES, levels=levels)
    moments = graycoprops(counts, "ASM")  # (3, 4)
    for row, distance in enumerate(DISTANCES):
        for column, angle in enumerate(ANGLES):
            yield f"{distance}_{angle}", float(moments[row, column])


def wavelet_energies(gray: np.ndarray, region: np.ndarray) -> dict[str, float]:
    """Energy per pixel of the sub-bands of a part of a picture.

    gray : (H, W) uint8
    region : (H, W) bool
    returns a3 (approximation), h3, v3, d3 (horizontal, vertical, diagonal), … d1; gray in [0, 1]

    The region lies on its own mean in a sea of it, so that neither the background nor the edge to
    it counts. The wavelet is orthogonal and the zeros round the region have no end, so the ten add
    up to the variance of gray in the region: each is the share of one scale and direction.
    """
    bands = [f"{kind}{level}" for level in range(DEPTH, 0, -1) for kind in "hvd"]
    names = [f"a{DEPTH}", *bands]
    if not region.any():
        return dict.fromkeys(names, 0.0)
    box = bounding_box(region)
    signal, inside = gray[box] / 255, region[box]
    signal = np.where(inside, signal - signal[inside].mean(), 0)
    short = [(0, max(0, SHORTEST - side)) for side in signal.shape]
    coarse, *details = pywt.wavedec2(np.pad(signal, short), WAVELET, mode="zero", level=DEPTH)
    planes = [coarse, *(plane for level in details for plane in level)]
    area = np.count_nonzero(inside)
    return {
        name: float(np.square(plane).sum()) / area
        for name, plane in zip(names, planes, strict=True)
    }


def histogram_energy(grays: np.ndarray) -> float:
    """Sum of squared shares of the 256 values in (n,) uint8: 1 when all are equal, 0 for none."""
    shares = np.bincount(grays, minlength=256) / max(1, grays.size)
    return float(np.square(shares).sum())


def signal_energy(grays: np.ndarray) -> float:
    """Sum of squared intensity over area of (n,) uint8, as shares of white; 0 for none."""
    return float(np.square(grays / 255).sum() / max(1, grays.size))
