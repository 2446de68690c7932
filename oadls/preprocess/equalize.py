"""Contrast: dynamic histogram equalization (DHE) of brightness, and CLAHE as its ablation.

DHE partitions the histogram, not the image: M. Abdullah-Al-Wadud, M. H. Kabir, M. A. A. Dewan,
O. Chae, "A dynamic histogram equalization for image contrast enhancement", IEEE Transactions on
Consumer Electronics 53(2), 2007. The paper cites DHE; its prose describes local equalization,
which is what `clahe` does.
"""

import cv2
import numpy as np
from skimage.exposure import equalize_adapthist

from oadls.errors import UserError
from oadls.preprocess.checks import check_foreground, check_image
from oadls.preprocess.foreground import bounding_box

LEVELS = 256
DOMINANT = 0.683  # share of a normal distribution within one standard deviation of its mean
SHORTEST = 3  # a segment of fewer levels is not split


def equalize(
    image: np.ndarray,
    *,
    foreground: np.ndarray | None = None,
    exponent: float = 1.0,
    keep_brightness: bool = False,
) -> np.ndarray:
    """Equalize the brightness (V of HSV) of the foreground by DHE; hue and saturation stay.

    image           : (H, W, 3) float32 RGB in [0, 1]
    foreground      : (H, W) bool, False on the black surround of cut-out cells, which stays as it
                      is and out of the histogram; everything when None
    exponent        : x, weight of a segment's pixel count against its span, 0 to 5
    keep_brightness : rescale to the mean brightness that came in
    returns (H, W, 3) float32 in [0, 1]; the image itself, copied, with fewer than two levels
    raises UserError for an exponent outside 0 to 5, ValueError for a wrong array
    """
    check_image(image, step="equalize")
    if not 0 <= exponent <= 5:
        raise UserError(f"equalize: the exponent must lie in 0 to 5, got {exponent}")
    inside = _inside(foreground, image, step="equalize")
    result = image.astype(np.float32)  # a copy
    if not inside.any():
        return result
    box = bounding_box(inside)
    image, inside = result[box], inside[box]
    value = brightness(image)  # (H, W)
    level = cv2.convertScaleAbs(value, alpha=255)  # rounded, as uint8
    histogram = np.bincount(level[inside], minlength=LEVELS)  # (256,)
    if np.count_nonzero(histogram) < 2:
        return result
    table = dynamic_table(histogram, exponent=exponent)
    if keep_brightness:
        table = match_mean(table, histogram)
    wanted = cv2.LUT(level, (table / 255).astype(np.float32))
    result[box] = with_brightness(image, value, wanted, inside)
    return result


def clahe(
    image: np.ndarray,
    *,
    foreground: np.ndarray | None = None,
    clip_limit: float = 0.01,
    tiles: int = 8,
) -> np.ndarray:
    """Equalize brightness (V of HSV) tile by tile with limited contrast; ablation of `equalize`.

    The surround of a cut-out cell is filled with the mean brightness, so that black does not take
    part in the histograms of the tiles.

    image      : (H, W, 3) float32 RGB in [0, 1]
    foreground : (H, W) bool; everything when None
    clip_limit : share of a tile's pixels that one level may hold, 0 to 1
    tiles      : tiles along each side
    returns (H, W, 3) float32 in [0, 1]; the image itself, copied, with fewer than two levels
    raises UserError for a setting outside these ranges, ValueError for a wrong array
    source: skimage.exposure.equalize_adapthist (Zuiderveld 1994)
    """
    check_image(image, step="clahe")
    if not 0 <= clip_limit <= 1 or tiles < 1:
        raise UserError(
            f"clahe: clip_limit must lie in 0 to 1 and tiles be at least 1, "
            f"got {clip_limit} and {tiles}"
        )
    inside = _inside(foreground, image, step="clahe")
    value = brightness(image)
    if not inside.any() or np.ptp(value[inside]) == 0:
        return image.astype(np.float32)
    filled = np.where(inside, value, value[inside].mean())
    size = [max(side // tiles, 1) for side in value.shape]
    local = equalize_adapthist(filled, kernel_size=size, clip_limit=clip_limit)
    return with_brightness(image, value, local.astype(np.float32), inside)


def dynamic_table(histogram: np.ndarray, *, exponent: float) -> np.ndarray:
    """The gray levels that DHE maps 0…255 to.

    histogram : (256,) counts, two levels occupied at least
    returns (256,) float64, monotone, whole numbers in [0, 255]
    """
    segments = [
        part
        for low, high in split_at_minima(histogram)
        for part in split_undominated(histogram, low, high)
    ]
    ranges = segment_ranges(histogram, segments, exponent=exponent)
    table = np.zeros(LEVELS)
    start = 0.0
    for (low, high), width in zip(segments, ranges, strict=True):
        counts = histogram[low : high + 1].cumsum()
        table[low : high + 1] = start + width * counts / max(counts[-1], 1)
        start += width
    table[segments[-1][1] :] = start  # levels above the last occupied one: 255
    return np.maximum.accumulate(np.rint(table).clip(0, 255))


def split_at_minima(histogram: np.ndarray) -> list[tuple[int, int]]:
    """Segments (first, last level) between the minima of the histogram smoothed by [1, 1, 1] / 3.

    A minimum is a level, or the centre of a run of equal levels, with higher neighbours.
    """
    counts = np.ones(LEVELS)
    window = np.ones(3)
    smooth = np.convolve(histogram, window, "same") / np.convolve(counts, window, "same")
    first, *_, last = np.flatnonzero(histogram)
    starts = np.flatnonzero(np.diff(smooth, prepend=np.nan))  # of the runs of equal values
    ends = np.append(starts[1:], LEVELS) - 1
    run = smooth[starts]
    low = np.flatnonzero((run[1:-1] < run[:-2]) & (run[1:-1] < run[2:])) + 1
    centres = (starts[low] + ends[low]) // 2
    cuts = [*centres[(centres > first) & (centres < last)].tolist(), int(last)]
    lows = [int(first), *(cut + 1 for cut in cuts[:-1])]
    return list(zip(lows, cuts, strict=True))


def split_undominated(histogram: np.ndarray, low: int, high: int) -> list[tuple[int, int]]:
    """Split a segment until 68.3 % of its pixels lie within one deviation of its mean level.

    Otherwise its highest peak would take the whole range. The middle part is accepted as it is,
    the outer two are tested again.
    """
    counts = histogram[low : high + 1]
    mass = counts.sum()
    if high - low + 1 < SHORTEST or mass == 0:
        return [(low, high)]
    levels = np.arange(low, high + 1)
    mean = (levels * counts).sum() / mass
    deviation = np.sqrt((np.square(levels - mean) * counts).sum() / mass)
    left = max(round(float(mean - deviation)), low)
    right = min(round(float(mean + deviation)), high)
    if histogram[left : right + 1].sum() >= DOMINANT * mass:
        return [(low, high)]
    below = split_undominated(histogram, low, left - 1) if left > low else []
    above = split_undominated(histogram, right + 1, high) if right < high else []
    return [*below, (left, right), *above]


def segment_ranges(
    histogram: np.ndarray, segments: list[tuple[int, int]], *, exponent: float
) -> np.ndarray:
    """Width of each segment's output, by span · log10(1 + pixels)^exponent; they sum to 255.

    The span counts from the cut before (m_i − m_{i−1} of the source), so that no level is lost
    between two segments.
    """
    cuts = np.array([segments[0][0], *(high for _, high in segments)])
    pixels = np.array([histogram[low : high + 1].sum() for low, high in segments])
    factor = np.diff(cuts) * np.log10(1 + pixels) ** exponent
    return 255 * factor / factor.sum()


def match_mean(table: np.ndarray, histogram: np.ndarray) -> np.ndarray:
    """Scale the table toward black or toward white, so that the mean level stays.

    Nothing is clipped; a plain factor above 1 would push the bright levels past 255.
    """
    total = histogram.sum()
    wanted = (np.arange(LEVELS) * histogram).sum() / total
    reached = (table * histogram).sum() / total
    if reached > wanted:
        return table * (wanted / reached)
    return 255 - (255 - table) * ((255 - wanted) / (255 - reached))


def brightness(image: np.ndarray) -> np.ndarray:
    """V of HSV, (H, W, 3) to (H, W)."""
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def with_brightness(
    image: np.ndarray, value: np.ndarray, wanted: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Scale RGB by wanted/value inside; what the round trip through HSV gives.

    image (H, W, 3), value, wanted (H, W) float32, inside (H, W) bool; returns (H, W, 3) float32
    """
    scale = np.divide(wanted, value, out=np.ones_like(wanted), where=inside & (value > 0))
    result = image.astype(np.float32, copy=False) * cv2.merge([scale] * 3)
    black = inside & (value <= 0)  # no hue and no saturation: a gray of the wanted brightness
    if black.any():
        result[black] = wanted[black, None]
    return np.clip(result, 0.0, 1.0, out=result)


def _inside(foreground: np.ndarray | None, image: np.ndarray, *, step: str) -> np.ndarray:
    if foreground is None:
        return np.ones(image.shape[:2], dtype=bool)
    check_foreground(foreground, image, step=step)
    return foreground
