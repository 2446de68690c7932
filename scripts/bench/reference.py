"""The image steps of `conf/pipeline/oadls.yaml`, written with the public functions of
scikit-image and SciPy: what oadls is timed and compared against.

Foreground → Wiener filter → dynamic histogram equalization → marker watershed. It shares no line
with `oadls.preprocess` and `oadls.segment` and uses no OpenCV; it works, as they do, in float32, in
the box of the foreground and at the working size. Where they tune, it takes what the libraries
offer: binary discs by the Euclidean distance transform (`isotropic_opening`), gray ones by
footprint, reconstruction by skimage's queue. Masks differ by the rounding of Lab and of resizing,
and by exact distances in place of chamfer ones.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage
from scipy.signal import find_peaks
from skimage.color import hsv2rgb, rgb2hsv, rgb2lab
from skimage.filters import threshold_multiotsu, threshold_otsu
from skimage.measure import label
from skimage.morphology import (
    convex_hull_image,
    dilation,
    disk,
    erosion,
    isotropic_closing,
    isotropic_opening,
    reconstruction,
)
from skimage.restoration import estimate_sigma
from skimage.segmentation import watershed
from skimage.transform import resize

# The settings of the configuration and the constants of the code, under one roof.
SURROUND = 0.05  # least share of black at the border
PAD, FLOOR = 16, 1e-3  # px mirrored round the image; least signal in units of noise
DOMINANT, SHORTEST = 0.683, 3  # when a segment of the histogram is split, and when never
WORKING_SIZE, DETAIL = 256, 1 / 60
NECK, CERTAINTY, EQUALIZED_SHARE = 0.75, 0.5, 0.5
LEVELS = 140  # 8-bit steps per unit of absorption
FAINT, DENSE = 0.12, 0.2  # absorption that is no bare glass; that is a red cell
CYTOPLASM, NUCLEUS = 128, 255
EIGHT = np.ones((3, 3), bool)


class Rough(NamedTuple):
    """The cell before its border is known, the others, and the maps that told them apart."""

    cell: np.ndarray
    others: np.ndarray
    distance: np.ndarray
    threshold: float
    nuclear_threshold: float


class NothingFound(Exception):
    """The image holds nothing that looks like a stained cell."""


def reference_stages(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB -> the enhanced image, (H, W, 3) uint8, and the mask, (H, W) uint8."""
    foreground = _foreground(image)
    rows, columns = ndimage.find_objects(foreground.astype(np.uint8))[0]
    smooth = image.astype(np.float32) / 255
    inside, box = foreground[rows, columns], smooth[rows, columns]
    box[inside] = _wiener(box, inside)[inside]
    equalized = smooth.copy()
    equalized[rows, columns][inside] = _equalize(box, inside)[inside]
    enhanced = np.rint(equalized * 255).astype(np.uint8)

    margin = 0 if inside.all() else 4  # room for the marker of the background
    window = tuple(
        slice(max(0, side.start - margin), side.stop + margin) for side in (rows, columns)
    )
    mask = np.zeros(foreground.shape, np.uint8)
    try:
        mask[window] = _segment(smooth[window], equalized[window], foreground[window])
    except NothingFound:
        mask[ndimage.binary_fill_holes(foreground)] = CYTOPLASM
    return enhanced, mask


def _foreground(image: np.ndarray) -> np.ndarray:
    """Everything but the black area that touches the border, (H, W) bool."""
    picture = ndimage.binary_fill_holes(image.any(axis=2))
    surround = np.count_nonzero(~picture)
    if surround < SURROUND * picture.size or surround == picture.size:
        return np.ones_like(picture)
    return picture


def _wiener(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Spectral Wiener filter, the noise estimated per channel; (H, W, 3) float32."""
    height, width = inside.shape
    margin = [(PAD, fft.next_fast_len(n + 2 * PAD, real=True) - n - PAD) for n in inside.shape]
    padded = np.pad(image, (*margin, (0, 0)), mode="reflect")
    weight = np.pad(inside, margin, mode="reflect")
    mean = padded[weight].mean(axis=0, dtype=np.float64).astype(np.float32)
    padded = (padded - mean) * weight[..., None]
    picture = np.s_[PAD : PAD + height, PAD : PAD + width]

    sigma = np.nan_to_num(estimate_sigma(padded[picture], channel_axis=-1))
    noise = np.square(sigma).astype(np.float32)  # (3,)
    spectrum = fft.fft2(padded, axes=(0, 1))  # (H, W, 3) complex64
    power = np.square(np.abs(spectrum)) / np.count_nonzero(weight)
    signal = ndimage.uniform_filter(power, (3, 3, 1), mode="wrap") - noise
    signal = np.maximum(signal, FLOOR * noise)
    gain = np.divide(signal, signal + noise, out=np.ones_like(signal), where=signal > 0)
    clean = fft.ifft2(spectrum * gain, axes=(0, 1)).real
    return np.clip(clean[picture] + mean, 0, 1)


def _equalize(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Dynamic histogram equalization of V of HSV; (H, W, 3) float32."""
    hsv = rgb2hsv(image)
    level = np.rint(hsv[..., 2] * 255).astype(np.uint8)
    histogram = np.bincount(level[inside], minlength=256)
    if np.count_nonzero(histogram) < 2:
        return image
    hsv[..., 2] = (_dynamic_table(histogram) / 255)[level]
    return hsv2rgb(hsv)


def _dynamic_table(histogram: np.ndarray) -> np.ndarray:
    """The levels that 0 … 255 become, (256,) float64."""
    first, *_, last = np.flatnonzero(histogram)
    smooth = np.convolve(histogram, np.ones(3), "same")
    smooth[[0, -1]] *= 1.5  # the ends have one neighbour
    minima = find_peaks(-smooth)[0]
    cuts = [*minima[(minima > first) & (minima < last)], last]
    lows = [first, *(cut + 1 for cut in cuts[:-1])]
    parts = [p for low, cut in zip(lows, cuts, strict=True) for p in _split(histogram, low, cut)]

    pixels = np.array([histogram[low : high + 1].sum() for low, high in parts])
    spans = np.diff([first, *(high for _, high in parts)])
    widths = spans * np.log10(1 + pixels)
    starts = 255 * np.append(0, widths.cumsum()) / widths.sum()
    table = np.zeros(256)
    for (low, high), start, end in zip(parts, starts[:-1], starts[1:], strict=True):
        share = histogram[low : high + 1].cumsum() / max(histogram[low : high + 1].sum(), 1)
        table[low : high + 1] = start + (end - start) * share
    table[last:] = 255
    return np.maximum.accumulate(np.rint(table))


def _split(histogram: np.ndarray, low: int, high: int) -> list[tuple[int, int]]:
    """Split a segment until two thirds of it lie within one deviation of its mean."""
    counts, levels = histogram[low : high + 1], np.arange(low, high + 1)
    if len(counts) < SHORTEST or not counts.any():
        return [(low, high)]
    mean = np.average(levels, weights=counts)
    deviation = np.sqrt(np.average((levels - mean) ** 2, weights=counts))
    left, right = max(round(mean - deviation), low), min(round(mean + deviation), high)
    if histogram[left : right + 1].sum() >= DOMINANT * counts.sum():
        return [(low, high)]
    below = _split(histogram, low, left - 1) if left > low else []
    above = _split(histogram, right + 1, high) if right < high else []
    return [*below, (left, right), *above]


def _segment(smooth: np.ndarray, equalized: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Nucleus and cell at the working size, back at the size that came in; (H, W) uint8."""
    shrink = min(1, WORKING_SIZE / max(foreground.shape))
    shape = tuple(max(1, round(n * shrink)) for n in foreground.shape)
    picture = foreground
    if shrink < 1:
        smooth, equalized = (resize(a, shape, anti_aliasing=True) for a in (smooth, equalized))
        picture = resize(foreground.astype(np.float32), shape, anti_aliasing=True) > 0.5
    if not picture.any():
        raise NothingFound
    smooth = _blur(smooth, picture)
    absorbed = (1 - np.clip(smooth / _light(smooth[picture], picture), 0, 1.1)) * picture[..., None]
    detail = disk(max(1, round(DETAIL * min(shape))))
    nuclear = _open_close(_levels(2 * absorbed[..., 1] - absorbed[..., 2]), detail)
    rough = (_locate if picture.all() else _cut_out)(absorbed, nuclear, picture, detail)

    markers = _nucleus_markers(nuclear, rough)
    nucleus = ndimage.binary_fill_holes(_flood(_gradient(nuclear), *markers))
    if picture.all():
        cell = _flood(_relief(rough, equalized), *_cell_markers(rough, nucleus))
    else:  # the border of a cut-out cell is known
        cell = rough.cell
    cell = _tidy(cell | nucleus, nucleus) & ~rough.others & ndimage.binary_fill_holes(picture)
    mask = np.where(cell, np.where(nucleus, NUCLEUS, CYTOPLASM), 0).astype(np.uint8)
    sides = zip(foreground.shape, shape, strict=True)
    rows, columns = (np.arange(n) * small // n for n, small in sides)  # nearest, as OpenCV has it
    return mask[np.ix_(rows, columns)]


def _relief(rough: Rough, equalized: np.ndarray) -> np.ndarray:
    """Where the border of the cell may run: steps of colour and of the distance to the smear."""
    lab = rgb2lab(_blur(equalized, np.ones(equalized.shape[:2], bool)))
    codes = np.rint(lab * (2.55, 1, 1) + (0, 128, 128)).astype(np.uint8)
    steepest = np.max([_gradient(codes[..., band]) for band in range(3)], axis=0)
    return np.rint((1 - EQUALIZED_SHARE) * _gradient(rough.distance) + EQUALIZED_SHARE * steepest)


def _blur(image: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Gaussian of one pixel over the picture alone."""
    blurred = ndimage.gaussian_filter(image, (1, 1, 0), mode="mirror")
    if picture.all():
        return blurred
    weight = ndimage.gaussian_filter(picture.astype(np.float32), 1, mode="mirror")
    return np.clip(blurred / np.maximum(weight, 0.1)[..., None], 0, 1) * picture[..., None]


def _light(pixels: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Colour of the glass; of a cut-out cell, thrice that of its darker half."""
    green = pixels[:, 1]
    if picture.all():
        light = np.median(pixels[green >= 0.9 * np.percentile(green, 98)], axis=0)
    else:
        light = 3 * np.median(pixels[green <= np.median(green)], axis=0)
    return np.maximum(light, 0.05)


def _cut_out(
    absorbed: np.ndarray, nuclear: np.ndarray, picture: np.ndarray, detail: np.ndarray
) -> Rough:
    """A cell that was cut out needs no search: it is the picture."""
    stain = nuclear[picture]
    if np.ptp(stain) < 0.1 * LEVELS:
        raise NothingFound
    cell = ndimage.binary_fill_holes(picture)
    distance = np.where(cell, LEVELS, 0).astype(np.uint8)
    return Rough(cell, np.zeros_like(cell), distance, LEVELS / 2, 0.5 * np.quantile(stain, 0.75))


def _locate(
    absorbed: np.ndarray, nuclear: np.ndarray, picture: np.ndarray, detail: np.ndarray
) -> Rough:
    """The cell at the centre of a smear: a nucleus first, then all round it that is no smear."""
    side = min(picture.shape)
    if np.ptp(nuclear) < 0.1 * LEVELS:
        raise NothingFound
    nuclei = _opened(nuclear > min(_highest_of_three(nuclear), 0.72 * LEVELS), side / 80)
    if not nuclei.any():
        raise NothingFound
    labels = label(nuclei)
    near = _distance_to(labels == _most_central(labels, nuclei)) < side / 10
    hull = convex_hull_image(
        np.isin(labels, np.unique(labels[near & nuclei])), offset_coordinates=False
    )
    radius, away, from_nuclei = _radius(hull), _distance_to(hull), _distance_to(nuclei)
    outside = (away > radius) & (from_nuclei > 0.3 * radius)
    if outside.mean() < 0.05:
        outside = away > np.quantile(away, 0.85)

    red_cell = _red_cell(absorbed[outside])
    along = np.clip(absorbed @ red_cell / max(red_cell @ red_cell, 1e-12), 0, 1)[..., None]
    distance = _open_close(_levels(np.linalg.norm(absorbed - along * red_cell, axis=2)), detail)
    zone = distance[(from_nuclei > 2) & (away < 1.5 * radius)]
    split = 0.85 * threshold_otsu(zone) if zone.size and np.ptp(zone) else 0
    noise = np.quantile(distance[outside], 0.95) if outside.any() else 0
    threshold = np.clip(max(split, noise), 0.07 * LEVELS, 0.5 * LEVELS)
    cells = _opened((distance > threshold) | (hull & nuclei), side / 40) | _opened(nuclei, 1)
    cells = ndimage.binary_fill_holes(cells)

    labels = label(cells)
    cell = labels == _most_central(labels, nuclei & cells)
    if cell.sum() < 0.9 * convex_hull_image(cell, offset_coordinates=False).sum():
        parts = _split_touching(cell)
        cell = parts == _most_central(parts, nuclei & cell)
    others = cells & ~cell
    around = (_distance_to(cell) < 2 * _radius(cell)) & (_distance_to(_opened(others, 1)) > 2)
    return Rough(cell, others, distance, threshold, _highest_of_three(nuclear[around | cell]))


def _red_cell(colours: np.ndarray) -> np.ndarray:
    """Absorption of the densest red cells among (N, 3) colours, zeros without them."""
    length = np.linalg.norm(colours, axis=1)
    if len(colours) < 30 or (length > DENSE).mean() < 0.1:
        return np.zeros(3, np.float32)
    direction = np.median(colours[length > FAINT], axis=0)
    direction /= np.linalg.norm(direction)
    return direction * np.quantile(colours @ direction, 0.9).astype(np.float32)


def _split_touching(cells: np.ndarray) -> np.ndarray:
    """Labels of the cells of one region, parted where the neck between them is narrow."""
    depth = np.log(ndimage.distance_transform_edt(cells) + 0.01).astype(np.float32)
    depth = ndimage.gaussian_filter(depth, 1, mode="mirror")
    flat = reconstruction(depth + np.float32(np.log(NECK)), depth)
    peaks = label((flat - reconstruction(flat - 1e-3, flat) > 5e-4) & cells)
    return watershed(-depth, peaks, mask=cells) if peaks.max() > 1 else cells.astype(int)


def _nucleus_markers(nuclear: np.ndarray, rough: Rough) -> tuple[np.ndarray, np.ndarray]:
    """What surely is nucleus and what surely is not."""
    side, threshold = min(nuclear.shape), rough.nuclear_threshold
    nucleus = _opened((nuclear > threshold) & rough.cell, side / 100)
    nucleus = nucleus if nucleus.any() else rough.cell
    beside = ~nucleus & (_distance_to(rough.cell) <= 2)
    above, below = _sure(nuclear, threshold, nucleus, beside)
    return _disjoint(
        nucleus & above, below | rough.others | (_distance_to(nucleus) > side / 12), nucleus
    )


def _cell_markers(rough: Rough, nucleus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What surely is cell and what surely is not."""
    radius, away = _radius(rough.cell), _distance_to(rough.cell)
    beside = (away > 0) & (away < 0.5 * radius) & ~rough.others
    above, below = _sure(rough.distance, rough.threshold, rough.cell & ~nucleus, beside)
    core = ndimage.binary_erosion(nucleus, EIGHT, border_value=1)
    inside = _opened(core | (rough.cell & above), min(nucleus.shape) / 40) | core
    outside = (below | rough.others | (away > max(2, 0.15 * radius))) & ~nucleus
    return _disjoint(inside, outside, nucleus)


def _sure(
    stain: np.ndarray, threshold: float, above: np.ndarray, below: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels half of the way from the threshold to the typical level of either side."""
    high = np.median(stain[above]) if above.any() else threshold
    low = np.median(stain[below]) if below.any() else 0
    return (
        stain > threshold + CERTAINTY * max(high - threshold, 1),
        stain < threshold - CERTAINTY * max(threshold - low, 1),
    )


def _disjoint(
    inside: np.ndarray, outside: np.ndarray, otherwise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    inside = inside if inside.any() else otherwise
    return inside, outside & ~inside


def _flood(relief: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The basin of the inner marker, the markers being the only minima; (H, W) bool."""
    markers = inside + 2 * outside.astype(np.int32)
    bottom = np.where(markers, 0, 65535).astype(np.uint16)
    floor = np.minimum(relief.astype(np.uint16) + 1, bottom)
    imposed = reconstruction(bottom, floor, method="erosion")
    return watershed(imposed, markers) == 1


def _tidy(cell: np.ndarray, nucleus: np.ndarray) -> np.ndarray:
    """Rounded off, without holes, in one piece: that with most of the nucleus."""
    cell = _opened(cell, min(cell.shape) / 40) | nucleus
    radius = max(1, round(0.2 * _radius(cell)))
    closed = isotropic_closing(np.pad(cell, radius), radius)[radius:-radius, radius:-radius]
    labels = label(ndimage.binary_fill_holes(closed))
    return labels == np.bincount(labels[nucleus]).argmax()


def _open_close(image: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Opening, then closing by reconstruction, of an (H, W) uint8 image."""
    opened = reconstruction(erosion(image, footprint), image).astype(np.uint8)
    closed = reconstruction(dilation(opened, footprint), opened, method="erosion")
    return closed.astype(np.uint8)


def _opened(region: np.ndarray, radius: float) -> np.ndarray:
    return isotropic_opening(region, max(1, round(radius)))


def _gradient(image: np.ndarray) -> np.ndarray:
    return dilation(image, disk(1)) - erosion(image, disk(1))


def _levels(values: np.ndarray) -> np.ndarray:
    return np.clip(values * LEVELS, 0, 255).astype(np.uint8)


def _distance_to(region: np.ndarray) -> np.ndarray:
    if not region.any():
        return np.full(region.shape, np.inf)
    return ndimage.distance_transform_edt(~region)


def _radius(region: np.ndarray) -> float:
    return np.sqrt(np.count_nonzero(region) / np.pi)


def _highest_of_three(stain: np.ndarray) -> float:
    levels = np.unique(stain)
    return float(threshold_multiotsu(stain, 3)[1] if len(levels) > 2 else levels[0])


def _most_central(labels: np.ndarray, weigh: np.ndarray) -> int:
    """The label with much of `weigh` near the centre of the image."""
    owned = np.where(weigh, labels, 0)
    numbers = np.unique(owned[weigh])
    area = ndimage.sum_labels(weigh, owned, numbers)
    centre = np.array(ndimage.center_of_mass(weigh, owned, numbers))  # (count, 2)
    offset = np.linalg.norm(centre - (np.array(labels.shape) - 1) / 2, axis=1)
    score = np.sqrt(area) * np.exp(-np.square(3 * offset / min(labels.shape)))
    return int(numbers[score.argmax()])
