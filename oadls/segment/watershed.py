"""Marker-controlled watershed: nucleus and whole cell of the white cell at the centre.

The paper prints watershed, then reconstruction; the order here is gradient, filter, imposition of
minima by reconstruction, watershed (Meyer & Beucher 1990).
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from skimage.segmentation import watershed

from oadls.segment.markers import (
    absorption,
    background_colour,
    cell_threshold,
    highest_of_three,
    nuclear_stain,
    red_cell_colour,
    smear_distance,
    split_touching,
)
from oadls.segment.reconstruction import gradient, impose_minima
from oadls.segment.regions import (
    components,
    convex_hull,
    distance_to,
    equal_radius,
    filled,
    most_central,
    opened,
)
from oadls.segment.score import CYTOPLASM, NUCLEUS


class Segmentation(NamedTuple):
    """mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus; note : "" or what failed."""

    mask: np.ndarray
    note: str


class NothingFound(Exception):
    """The image holds nothing that looks like a stained cell; the message says why."""


def segment(
    smooth: np.ndarray,
    equalized: np.ndarray,
    *,
    foreground: np.ndarray,
    segment_on: Literal["split", "smooth", "equalized"] = "split",
    working_size: int = 256,
    detail: float = 1 / 60,
    neck: float = 0.75,
    certainty: float = 0.5,
    equalized_share: float = 0.5,
) -> Segmentation:
    """Find the nucleus and the cell.

    smooth : (H, W, 3) float32 RGB in [0, 1], the Wiener-filtered image
    equalized : the same after dynamic histogram equalization
    foreground : (H, W) bool, False on the black surround of a cell that was cut out
    segment_on : "split" takes markers and nucleus from `smooth` and the relief of the cell's
        border from both; the other two use one image for everything
    working_size : longest side in px that is worked on; larger images are shrunk to it
    detail : radius of what opening and closing remove, as a share of the shorter side
    neck : see `split_touching`
    certainty : how far from the threshold, towards the typical level of either side, a pixel must
        be to become a marker: 0 all do, 1 half of them do
    equalized_share : weight of the equalized image's gradient in the relief of the cell's border
    returns a Segmentation whose cell is never empty. Where nothing is found, or a cut-out cell is
        lost, the cell is the foreground, all of it cytoplasm, and the note says why
    """
    if segment_on == "smooth":
        equalized = smooth
    elif segment_on == "equalized":
        smooth = equalized
    foreground = foreground if foreground.any() else np.ones_like(foreground)
    window = _window(foreground)
    shrink = min(1.0, working_size / max(foreground[window].shape))
    smooth, equalized = _resize(smooth[window], shrink), _resize(equalized[window], shrink)
    picture = _resize(foreground[window].astype(np.float32), shrink) > 0.5
    try:
        found = _find(
            smooth,
            equalized,
            picture,
            detail=detail * min(picture.shape),
            neck=neck,
            certainty=certainty,
            share=equalized_share,
        )
    except NothingFound as reason:
        whole = filled(foreground).astype(np.uint8) * np.uint8(CYTOPLASM)
        return Segmentation(whole, f"{reason}: the cell is the foreground")
    mask = np.zeros(foreground.shape, np.uint8)
    shape = mask[window].shape
    mask[window] = cv2.resize(found, shape[::-1], interpolation=cv2.INTER_NEAREST)
    return Segmentation(mask, "")
