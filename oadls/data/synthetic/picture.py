"""From optical densities to the picture that a camera would take (Beer-Lambert)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from oadls.data.synthetic.biology import LABELS, draw_traits
from oadls.data.synthetic.cell import cell_density, draw_body
from oadls.data.synthetic.geometry import FIELD_UM, field_grid
from oadls.data.synthetic.patient import Optics, Patient
from oadls.data.synthetic.smear import draw_smear_density
from oadls.errors import UserError

CYTOPLASM_CODE, NUCLEUS_CODE = 128, 255
RED_UNDER_CELL = 0.08  # what shows through of a red cell under a white one


def draw_cell(
    *, patient: Patient, label: str, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one white cell in the middle of a stained smear, and its true mask.

    label : "all" or "normal"
    size : side of the picture in pixels, at least 48; the field is always 24 um wide
    rng : the background, the cell and the sensor draw from three generators spawned from it,
        so that the background is the same picture whatever the label
    returns image (size, size, 3) uint8 RGB, mask (size, size) uint8: 0 background,
        128 cytoplasm, 255 nucleus
    raises UserError for a label or a size that cannot be drawn
    """
    if label not in LABELS:
        raise UserError(f"label: one of {', '.join(LABELS)}, got {label!r}")
    if size < 48:
        raise UserError(f"size: at least 48 pixels, got {size}")
    smear_rng, cell_rng, camera_rng = rng.spawn(3)
    smear = draw_smear_density(patient=patient, size=size, rng=smear_rng)
    traits = draw_traits(offsets=patient.traits, label=label, rng=cell_rng)
    body = draw_body(traits=traits, size=size, rng=cell_rng)
    cell = cell_density(body, stain=patient.stain, traits=traits, size=size, rng=cell_rng)
    mask = np.zeros((size, size), np.uint8)
    mask[body.cell < 0] = CYTOPLASM_CODE
    mask[body.nucleus < 0] = NUCLEUS_CODE

    camera = Camera.set_up(patient.optics, size=size, rng=camera_rng)
    light = camera.expose(smear)
    share = edge(body.cell, width=0.2 + 1.2 * camera.blur_um)[..., None]
    light += share * (camera.expose(cell + RED_UNDER_CELL * smear) - light)
    return camera.read_out(light, rng=camera_rng), mask


def edge(distance: np.ndarray, *, width: float) -> np.ndarray:
    """Share of the white cell in a pixel: 0 on and outside its contour, 1 from `width` um inside.

    A lens would spread the cell beyond its contour too. Not here: a rim of mixed pixels outside
    the mask would tell the cell's size, and with it the class, to whoever looks at the background.
    """
    depth = np.clip(-distance / width, 0, 1)
    return np.asarray(1 - (1 - depth) ** 2)


@dataclass(frozen=True)
class Camera:
    """Lamp, lens and sensor, set for one picture."""

    optics: Optics
    lamp: np.ndarray  # (H, W) float32 about 1
    blur_um: float

    @classmethod
    def set_up(cls, optics: Optics, *, size: int, rng: np.random.Generator) -> "Camera":
        """Move to a new place of the slide: the light tilts, the focus drifts."""
        lamp = light_plane(size, gradient=optics.gradient, rng=rng)
        return cls(optics, lamp, optics.blur_um * math.exp(rng.normal(0, 0.15)))

    def expose(self, density: np.ndarray) -> np.ndarray:
        """Light on the sensor, in gray levels (H, W, 3) float32, from the optical density."""
        light = self.optics.glare + (1 - self.optics.glare) * np.exp(-density)  # in [0, 1]
        light *= self.lamp[..., None] * self.optics.white.astype(np.float32)
        return refract(light, blur_um=self.blur_um, fringe_um=self.optics.fringe_um)

    def read_out(self, light: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        """Picture (H, W, 3) uint8: the light with shot and read noise, rounded and clipped."""
        share = light / float(self.optics.white.max())
        spread = self.optics.noise * np.sqrt(0.3 + 0.7 * np.maximum(share, 0))
        noise = spread * rng.standard_normal(light.shape, dtype=np.float32)
        return np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)


def refract(light: np.ndarray, *, blur_um: float, fringe_um: np.ndarray) -> np.ndarray:
    """Blur (H, W, 3) by the point spread and move red against blue, in the frequency domain."""
    size, pad = len(light), 8
    padded = np.pad(light, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    wide, pixel_um = size + 2 * pad, FIELD_UM / size
    axes = fft.fftfreq(wide, pixel_um), fft.rfftfreq(wide, pixel_um)
    image = np.empty_like(light)
    for channel, sign in enumerate((1, 0, -1)):
        rows, columns = (
            np.exp(-2 * (np.pi * blur_um * f) ** 2 - 2j * np.pi * sign * moved * f)
            for f, moved in zip(axes, fringe_um, strict=True)
        )
        response = np.outer(rows, columns).astype(np.complex64)  # (wide, wide // 2 + 1)
        plane = fft.irfft2(fft.rfft2(padded[..., channel]) * response, s=(wide, wide))
        image[..., channel] = plane[pad:-pad, pad:-pad]
    return image


def light_plane(size: int, *, gradient: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness over the field (size, size) float32 about 1: a plane, so that it has no centre.

    A bright centre would tell apart pixels near the cell from those far from it.
    """
    rows, columns = field_grid(size)
    angle, level = rng.uniform(0, 2 * np.pi), np.exp(rng.normal(0, 0.03))
    tilt = (np.sin(angle) * rows + np.cos(angle) * columns) / FIELD_UM
    return np.asarray(level * (1 + gradient * tilt), dtype=np.float32)
