"""Pictures of cells for sheets and pages."""

import cv2
import matplotlib
import numpy as np

from oadls.pipeline import Stages, to_uint8

NUCLEUS, CELL = (0, 114, 178), (230, 159, 0)
HEAT = matplotlib.colormaps["magma"]


def contact_sheet(stages: Stages, *, gap: int = 6) -> np.ndarray:
    """Every stage of one image side by side: original, filtered, equalized, outlines, cut out.

    returns (H, 5 W + 4 gap, 3) uint8 RGB on white
    """
    images = [to_uint8(x) for x in (stages.original, stages.smooth, stages.equalized)]
    cut_out = np.where(stages.mask[..., None] > 0, images[2], 0).astype(np.uint8)
    images += [outlines(images[0], stages.mask), cut_out]
    white = np.full((images[0].shape[0], gap, 3), 255, dtype=np.uint8)
    strips = [images[0]]
    for image in images[1:]:
        strips += [white, image]
    return np.concatenate(strips, axis=1)


def outlines(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with the border of the nucleus in blue and of the cell in orange."""
    width = max(1, image.shape[0] // 120)
    drawn = image.copy()
    for region, colour in ((mask > 0, CELL), (mask == 255, NUCLEUS)):
        edges, _ = cv2.findContours(
            region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(drawn, edges, -1, colour, width)
    return drawn


def heat(values: np.ndarray) -> np.ndarray:
    """(H, W) float to (H, W, 3) uint8: dark is the least, light the most of this picture."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return to_uint8(HEAT(scaled)[..., :3])


def overlay(picture: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 gray picture with a saliency map (S, S) laid over it in colour."""
    gray = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(gray, 0.45, heat(saliency), 0.55, 0)
