"""Where the nucleus and the cell surely are, and where they surely are not.

All masks are (H, W) bool, all maps (H, W) uint8 (`oadls.segment.stain`), all lengths in pixels of
the image that is worked on, measured in shares of its side or of the cell's radius.
"""

from typing import NamedTuple

import cv2
import numpy as np
from skimage.segmentation import watershed

from oadls.segment.reconstruction import reconstruct_by_dilation
from oadls.segment.regions import (
    components,
    convex_hull,
    distance_to,
    equal_radius,
    filled,
    most_central,
    opened,
)
from oadls.segment.stain import (
    LEVELS,
    cell_threshold,
    highest_of_three,
    red_cell_colour,
    smear_distance,
)


class NothingFound(Exception):
    """The image holds nothing that looks like a stained cell; the message says why."""


class Rough(NamedTuple):
    """The cell before its border is known.

    cell : its pixels; others : those of other cells and nuclei
    away : distance to the cell, px
    distance : `smear_distance`, of which the cell is what exceeds `threshold`
    nuclear_threshold : level of the nuclear stain above which its pixels are nucleus
    """

    cell: np.ndarray
    others: np.ndarray
    away: np.ndarray
    distance: np.ndarray
    threshold: float
    nuclear_threshold: float


class Markers(NamedTuple):
    """inside : surely the object; outside : surely not; disjoint, `inside` never empty."""

    inside: np.ndarray
    outside: np.ndarray


def locate_cell(absorbed: np.ndarray, nuclear: np.ndarray, *, detail: float, neck: float) -> Rough:
    """Find the cell at the centre: a nucleus first, then all that is no smear around it.

    absorbed : (3, H, W) float32; nuclear : its nuclear stain
    raises NothingFound
    """
    side = min(nuclear.shape)
    nuclei = _nuclei(nuclear)
    hull = convex_hull(_central_lobes(nuclei, reach=side / 10))
    radius, from_hull, from_nuclei = equal_radius(hull), distance_to(hull), distance_to(nuclei)
    outside = (from_hull > radius) & (from_nuclei > 0.3 * radius)
    if outside.mean() < 0.05:
        outside = from_hull > np.quantile(from_hull, 0.85)
    distance = smear_distance(absorbed, red_cell_colour(absorbed, outside), radius=detail)
    zone = (from_nuclei > 2) & (from_hull < 1.5 * radius)
    threshold = cell_threshold(distance, zone, outside)
    cells = filled(opened((distance > threshold) | (hull & nuclei), side / 40) | opened(nuclei, 1))
    cell, others = _central_cell(cells, nuclei, neck=neck)
    away = distance_to(cell)
    around = (away < 2 * equal_radius(cell)) & (distance_to(opened(others, 1)) > 2)
    return Rough(cell, others, away, distance, threshold, highest_of_three(nuclear[around | cell]))


def cut_out_cell(nuclear: np.ndarray, picture: np.ndarray) -> Rough:
    """A cell that was cut out on black needs no search: it is the picture, holes filled.

    Its nucleus is what has half the stain of the darker half, for without glass and red cells
    three classes would split the nucleus. raises NothingFound
    """
    cell = filled(picture)
    stain = nuclear[picture]
    _check_contrast(stain)
    distance = np.where(cell, np.uint8(LEVELS), np.uint8(0))
    typical = float(np.quantile(stain, 0.75))
    others = np.zeros_like(cell)
    return Rough(cell, others, distance_to(cell), distance, LEVELS / 2, 0.5 * typical)


def _check_contrast(stain: np.ndarray) -> None:
    if np.ptp(stain) < 0.1 * LEVELS:
        raise NothingFound("no pixel is stained more than the rest")


def _nuclei(nuclear: np.ndarray) -> np.ndarray:
    """Everything with much nuclear stain; raises NothingFound.

    A very dark nucleus beside it would hide a pale one from multi-Otsu: 0.72 is always enough.
    """
    _check_contrast(nuclear)
    nuclei = opened(
        nuclear > min(highest_of_three(nuclear), 0.72 * LEVELS), min(nuclear.shape) / 80
    )
    if not nuclei.any():
        raise NothingFound("no nucleus is large enough")
    return nuclei


def _central_lobes(nuclei: np.ndarray, *, reach: float) -> np.ndarray:
    """The most central nucleus with the lobes within reach of it."""
    labels, count = components(nuclei)
    central = labels == most_central(labels, count, weigh=nuclei)
    near = np.zeros(count + 1, bool)
    near[labels[nuclei & (distance_to(central) < reach)]] = True
    return near[labels]


def _central_cell(
    cells: np.ndarray, nuclei: np.ndarray, *, neck: float
) -> tuple[np.ndarray, np.ndarray]:
    """The most central cell, parted from those it touches, and the other cells."""
    labels, count = components(cells)
    cell = labels == most_central(labels, count, weigh=nuclei & cells)
    if np.count_nonzero(cell) < 0.9 * np.count_nonzero(convex_hull(cell)):  # a convex one is one
        parts, count = split_touching(cell, neck=neck)
        cell = parts == most_central(parts, count, weigh=nuclei & cell)
    return cell, cells & ~cell


def nucleus_markers(nuclear: np.ndarray, rough: Rough, *, certainty: float) -> Markers:
    """Markers of the nucleus: sure nuclear stain; sure lack of it, and all that is far away."""
    threshold = rough.nuclear_threshold
    nucleus = opened((nuclear > threshold) & rough.cell, min(nuclear.shape) / 100)
    nucleus = nucleus if nucleus.any() else rough.cell
    beside = ~nucleus & (rough.away <= 2)
    sure = _between(nuclear, threshold, nucleus, beside, certainty=certainty)
    far = distance_to(nucleus) > min(nuclear.shape) / 12
    return _disjoint(nucleus & sure.inside, sure.outside | rough.others | far, otherwise=nucleus)


def cell_markers(rough: Rough, nucleus: np.ndarray, *, certainty: float) -> Markers:
    """Markers of the whole cell: the nucleus and sure cytoplasm; sure smear and other cells."""
    radius = equal_radius(rough.cell)
    cytoplasm = rough.cell & ~nucleus
    beside = (rough.away > 0) & (rough.away < 0.5 * radius) & ~rough.others
    sure = _between(rough.distance, rough.threshold, cytoplasm, beside, certainty=certainty)
    core = cv2.erode(nucleus.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    inside = opened(core | (rough.cell & sure.inside), min(nucleus.shape) / 40) | core
    far = rough.away > max(2, 0.15 * radius)
    outside = (sure.outside | rough.others | far) & ~nucleus
    return _disjoint(inside, outside, otherwise=nucleus)


def _between(
    stain: np.ndarray, threshold: float, above: np.ndarray, below: np.ndarray, *, certainty: float
) -> Markers:
    """Pixels that lie `certainty` of the way from the threshold to the typical level of a side."""
    high = np.median(stain[above]) if above.any() else threshold
    low = np.median(stain[below]) if below.any() else 0.0
    return Markers(
        stain > threshold + certainty * max(high - threshold, 1),
        stain < threshold - certainty * max(threshold - low, 1),
    )


def _disjoint(inside: np.ndarray, outside: np.ndarray, *, otherwise: np.ndarray) -> Markers:
    inside = inside if inside.any() else otherwise
    return Markers(inside, outside & ~inside)


def split_touching(cells: np.ndarray, *, neck: float) -> tuple[np.ndarray, int]:
    """Part touching cells at their necks: watershed of the distance to the outside.

    cells : (H, W) bool
    neck : two peaks of the distance are two cells when the pass between them is lower than this
        share of the lower one
    returns (H, W) int32 labels from 1, 0 outside, and how many there are
    """
    depth = np.log(distance_to(~cells) + 0.01)  # in the logarithm a share is a difference
    depth = cv2.GaussianBlur(depth, (0, 0), 1)
    flat = reconstruct_by_dilation(depth + np.float32(np.log(neck)), depth)
    step = np.float32(1e-3)
    peaks, count = components(
        (flat - reconstruct_by_dilation(flat - step, flat) > step / 2) & cells
    )
    if count < 2:
        return cells.astype(np.int32), 1
    return watershed(-depth, peaks, mask=cells), count
