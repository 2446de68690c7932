"""Marker-controlled watershed: nucleus and whole cell of the white cell at the centre.

The paper prints watershed, then reconstruction; the order here is gradient, filter, imposition of
minima by reconstruction, watershed (Meyer & Beucher 1990).
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from skimage.segmentation import watershed

from oadls.preprocess.foreground import bounding_box
from oadls.segment.markers import (
    Markers,
    NothingFound,
    cell_markers,
    cut_out_cell,
    locate_cell,
    nucleus_markers,
)
from oadls.segment.reconstruction import gradient, impose_minima
from oadls.segment.regions import closed, components, equal_radius, filled, opened
from oadls.segment.score import CYTOPLASM, NUCLEUS
from oadls.segment.stain import (
    absorption,
    background_colour,
    light_of_cut_out,
    nuclear_stain,
    within,
)


class Segmentation(NamedTuple):
    """mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus; note : "" or what failed."""

    mask: np.ndarray
    note: str


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
        border from both; the other two use one image for everything. The border of a cut-out
        cell needs no relief
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


def _find(
    smooth: np.ndarray,
    equalized: np.ndarray,
    picture: np.ndarray,
    *,
    detail: float,
    neck: float,
    certainty: float,
    share: float,
) -> np.ndarray:
    """The mask of one image of working size, (H, W) uint8; raises NothingFound."""
    if not picture.any():
        raise NothingFound("the foreground is too small")
    cut_out = not picture.all()
    planes = np.stack(cv2.split(_blur(smooth, picture)))  # (3, H, W)
    light = (light_of_cut_out if cut_out else background_colour)(within(planes, picture))
    absorbed = absorption(planes, light) * picture
    nuclear = nuclear_stain(absorbed, radius=detail)
    if cut_out:
        rough = cut_out_cell(nuclear, picture)
    else:
        rough = locate_cell(absorbed, nuclear, detail=detail, neck=neck)
    nucleus = filled(flood(gradient(nuclear), nucleus_markers(nuclear, rough, certainty=certainty)))
    if cut_out:  # its border is known: a flood would only move what `_tidy` takes off
        cell = _tidy(rough.cell | nucleus, nucleus) & rough.cell
    else:
        steepest = lab_gradient(_blur(equalized, picture))
        relief = cv2.addWeighted(gradient(rough.distance), 1 - share, steepest, share, 0)
        cell = flood(relief, cell_markers(rough, nucleus, certainty=certainty))
        cell = _tidy(cell | nucleus, nucleus) & ~rough.others
    mask = cell.astype(np.uint8) * np.uint8(CYTOPLASM)
    mask[nucleus & cell] = NUCLEUS
    return mask


def _blur(image: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Gaussian of one pixel over the picture alone: the black surround does not bleed in."""
    blurred = cv2.GaussianBlur(image, (0, 0), 1)
    if picture.all():
        return blurred
    weight = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1)
    return blurred * cv2.merge([picture / np.maximum(weight, 0.1)] * 3)


def flood(relief: np.ndarray, markers: Markers) -> np.ndarray:
    """Watershed of a relief whose only minima are the markers.

    relief : (H, W) uint8; returns (H, W) bool, the basin of the inner marker
    """
    numbered = markers.inside + 2 * markers.outside.astype(np.int32)
    return watershed(impose_minima(relief, numbered > 0), numbered) == 1


def lab_gradient(image: np.ndarray) -> np.ndarray:
    """The steepest of the gradients of the CIE Lab channels of an RGB image, (H, W) uint8."""
    lab = cv2.cvtColor(cv2.convertScaleAbs(image, alpha=255), cv2.COLOR_RGB2LAB)
    return np.maximum.reduce(cv2.split(gradient(lab)))


def _tidy(cell: np.ndarray, nucleus: np.ndarray) -> np.ndarray:
    """Round the cell off, fill its holes and keep the part that holds most of the nucleus."""
    cell = opened(cell, min(cell.shape) / 40) | nucleus
    cell = filled(closed(cell, 0.2 * equal_radius(cell)))
    labels, count = components(cell)
    shares = np.bincount(labels[nucleus], minlength=count + 1)
    return labels == shares.argmax()


def _window(foreground: np.ndarray) -> tuple[slice, slice]:
    """The bounding box of the foreground, with a margin for the marker of the background.

    Without one where the foreground fills the box: an ordinary image padded with black.
    """
    box = bounding_box(foreground)
    return box if foreground[box].all() else bounding_box(foreground, margin=4)


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
