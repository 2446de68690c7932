"""Red cells, platelets and debris: the background, drawn without a look at the white cell."""

import math

import numpy as np
from scipy.spatial.distance import pdist, squareform

from oadls.data.synthetic.geometry import FIELD_UM, field_grid, soft_step, texture
from oadls.data.synthetic.patient import Patient, Smear

MARGIN_UM = 8.0  # cells centred outside the picture still reach into it
RED_EDGE_UM = 0.14


def draw_smear_density(*, patient: Patient, size: int, rng: np.random.Generator) -> np.ndarray:
    """Optical density of everything but the white cell.

    returns (size, size, 3) float32, at least 0
    """
    red, platelets = np.zeros((2, size, size), np.float32)
    y, x = warped_grid(size, rng)
    for centre in scatter_red_cells(patient.smear, rng):
        add_red_cell(red, y, x, centre=centre, smear=patient.smear, rng=rng)
    for _ in range(rng.poisson(patient.smear.platelets * (1 + 4 / FIELD_UM) ** 2)):
        add_platelet(platelets, y, x, rng=rng)
    grain = texture(size, scale_um=0.25, rng=rng)
    platelets *= np.clip(1 + 0.45 * grain, 0.2, 2)
    red *= 1 + 0.03 * grain
    plasma = patient.smear.debris * (2 + grain)
    stain = patient.stain
    density = red[..., None] * stain.haemoglobin.astype(np.float32)  # (H, W, 3)
    density += platelets[..., None] * stain.granules.astype(np.float32)
    density += np.maximum(plasma, 0)[..., None]
    return density


def warped_grid(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (size, size) in um, gently bent, so that no red cell is a perfect ellipse."""
    rows, columns = field_grid(size)
    bent = []
    for axis in (rows, columns):
        bend = np.zeros((size, size), np.complex64)
        for _ in range(3):
            angle, phase = rng.uniform(0, 2 * np.pi, 2)
            wave = 2j * np.pi / rng.uniform(6, 13) * np.array([np.cos(angle), np.sin(angle)])
            bend += np.exp(wave[0] * rows + 1j * phase) * np.exp(wave[1] * columns)
        bent.append(axis + np.float32(0.17) * bend.imag)
    return bent[0], bent[1]


def scatter_red_cells(smear: Smear, rng: np.random.Generator) -> np.ndarray:
    """Centres (n, 2) in um of red cells that keep their distance, as dense at every place.

    The white cell is no obstacle here: a field that knew its size would tell the class.
    """
    reach = FIELD_UM / 2 + MARGIN_UM
    least = 2 * smear.red_radius_um * smear.packing
    tries = rng.poisson(smear.red_per_um2 * (2 * reach) ** 2 * rng.uniform(1.0, 2.2))
    centres = rng.uniform(-reach, reach, (tries, 2))
    close = squareform(pdist(centres)) < least if tries > 1 else np.zeros((tries, tries), bool)
    kept: list[int] = []
    for candidate in range(tries):  # first come, first served
        if not close[candidate, kept].any():
            kept.append(candidate)
    return centres[kept]


def add_red_cell(
    red: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    *,
    centre: np.ndarray,
    smear: Smear,
    rng: np.random.Generator,
) -> None:
    """Add one biconcave disk to the thickness map `red` (H, W), in place."""
    radius = smear.red_radius_um * math.exp(rng.normal(0, 0.07))
    stretch = math.exp(abs(rng.normal(0, 0.10)))
    angle, thickness = rng.uniform(0, math.pi), math.exp(rng.normal(0, 0.08))
    pallor = min(max(smear.pallor + rng.normal(0, 0.12), 0.0), 0.85)
    offset = rng.normal(0, 0.08, 2).tolist()
    window = around(centre, radius * stretch + 1.5, size=len(red))
    if not red[window].size:
        return
    dy, dx = y[window] - float(centre[0]), x[window] - float(centre[1])
    u = (math.cos(angle) * dx + math.sin(angle) * dy) / (radius * stretch)
    v = (math.cos(angle) * dy - math.sin(angle) * dx) / (radius / stretch)
    rho = np.sqrt(u * u + v * v)
    outside = (rho - 1) * radius  # um, negative inside
    hollow = np.exp(-(((u - offset[0]) ** 2 + (v - offset[1]) ** 2) / 0.25))
    rim = 0.16 * np.exp(-(((outside + 0.3) / 0.28) ** 2))
    body = np.maximum(1.02 - 0.12 * rho**2 - pallor * hollow, 0) + rim
    red[window] += thickness * body * soft_step(outside, RED_EDGE_UM)


def add_platelet(
    platelets: np.ndarray, y: np.ndarray, x: np.ndarray, *, rng: np.random.Generator
) -> None:
    """Add one platelet to the granule map (H, W), in place: small, purple, ragged."""
    centre = rng.uniform(-1, 1, 2) * (FIELD_UM / 2 + 2)
    radius, depth = rng.uniform(0.7, 1.4), rng.uniform(0.4, 1.2)
    stretch, angle = rng.uniform(1, 1.35), rng.uniform(0, np.pi)
    wobble, phase = rng.uniform(0, 0.14), rng.uniform(0, 2 * np.pi)
    window = around(centre, 2.6 * radius, size=len(platelets))
    dy, dx = y[window] - float(centre[0]), x[window] - float(centre[1])
    u = (math.cos(angle) * dx + math.sin(angle) * dy) / stretch
    v = (math.cos(angle) * dy - math.sin(angle) * dx) * stretch
    ragged = radius * (1 + wobble * np.cos(5 * np.arctan2(v, u) + phase))
    platelets[window] += depth * soft_step(np.hypot(u, v) - ragged, 0.32)


def around(centre: np.ndarray, reach: float, *, size: int) -> tuple[slice, slice]:
    """The part of the picture within `reach` um of `centre`; empty slices when it lies outside."""
    spans = []
    for middle in centre.tolist():
        first = math.floor((middle - reach) / FIELD_UM * size + size / 2)
        last = math.ceil((middle + reach) / FIELD_UM * size + size / 2)
        spans.append(slice(min(max(first, 0), size), min(max(last, 0), size)))
    return spans[0], spans[1]
