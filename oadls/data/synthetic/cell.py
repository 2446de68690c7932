"""The white cell: its biology, its contours and what its parts absorb."""

import math
from typing import NamedTuple

import numpy as np

from oadls.data.synthetic.biology import degree
from oadls.data.synthetic.geometry import (
    contour,
    field_grid,
    notch,
    signed_distance,
    soft_step,
    texture,
    waves,
)
from oadls.data.synthetic.patient import Stain


class Body(NamedTuple):
    """Where the cell is: signed distances (H, W) in um, negative inside."""

    cell: np.ndarray
    nucleus: np.ndarray
    centre: tuple[float, float]  # of the nucleus
    nucleus_radius: float


def draw_body(*, traits: dict[str, float], size: int, rng: np.random.Generator) -> Body:
    """Contours of the cell and, within it, of the nucleus."""
    radius = 5.45 * math.exp(min(max(0.105 * traits["size"], -0.33), 0.33))
    fill = float(np.clip(0.76 + 0.07 * traits["fill"], 0.50, 0.92))
    irregular = degree(traits["irregularity"])
    row, column = rng.uniform(-0.8, 0.8, 2).tolist()
    outline = waves(rng, orders=(2, 3, 4, 5, 7), amplitude=rng.uniform(0.05, 0.17))
    cell = signed_distance(contour(outline, radius=radius), centre=(row, column), size=size)

    inner = radius * math.sqrt(fill)
    bumps = 0.6 * outline + waves(
        rng, orders=(2, 3, 4, 5, 6, 8), amplitude=0.05 + 0.16 * irregular**1.5
    )
    for _ in range(1 + rng.poisson(0.5)):  # a faint dent is common, a deep cleft is not
        depth = rng.uniform(0.2, 1.0) * 0.42 * irregular**2
        bumps = bumps + notch(
            angle=rng.uniform(0, 2 * np.pi), depth=depth, width=rng.uniform(0.18, 0.5)
        )
    angle, slack = rng.uniform(0, 2 * np.pi), (radius - inner) * rng.uniform(0, 1.0)
    centre = (row + slack * math.sin(angle), column + slack * math.cos(angle))
    nucleus = signed_distance(contour(bumps, radius=inner), centre=centre, size=size)
    # The nucleus may press against the membrane but never leaves the cell.
    nucleus = np.maximum(nucleus, cell + np.float32(rng.uniform(0.15, 0.35)))
    return Body(cell, nucleus, centre, inner)


def beside(body: Body, share: float, *, rng: np.random.Generator) -> tuple[float, float]:
    """A point in a random direction from the nucleus's centre, at a share of its radius."""
    angle, away = rng.uniform(0, 2 * math.pi), share * body.nucleus_radius
    return body.centre[0] + away * math.sin(angle), body.centre[1] + away * math.cos(angle)


def chromatin(
    body: Body, *, traits: dict[str, float], size: int, rng: np.random.Generator
) -> np.ndarray:
    """Amount of stained chromatin per pixel of the nucleus (H, W) float32, about 1."""
    openness = degree(traits["openness"])
    clumps = np.tanh(1.6 * texture(size, scale_um=rng.uniform(0.42, 0.6), rng=rng))
    fine = texture(size, scale_um=0.17, rng=rng)
    clumping, grain = 0.02 + 0.25 * (1 - openness), 0.08 + 0.05 * openness
    dense = 1.06 - 0.10 * openness + clumping * clumps + grain * fine
    dense *= 1 + 0.10 * np.exp(-((body.nucleus / 0.45) ** 2))  # chromatin lines the envelope
    contrast = 0.68 * degree(traits["nucleoli"]) ** 1.5
    rows, columns = field_grid(size)
    for _ in range(1 + rng.poisson(0.9)):
        y, x = beside(body, rng.uniform(0.1, 0.62), rng=rng)
        radius = rng.uniform(0.5, 1.0)
        gap = np.sqrt((rows - y) ** 2 + ((columns - x) * rng.uniform(0.85, 1.2)) ** 2) - radius
        dense *= 1 - contrast * rng.uniform(0.6, 1.0) * soft_step(gap, 0.27)
        dense *= 1 + 0.12 * contrast * np.exp(-(((gap - 0.25) / 0.2) ** 2))  # chromatin around it
    return np.asarray(np.maximum(dense, 0.1))


def cytoplasm(
    body: Body, *, traits: dict[str, float], size: int, rng: np.random.Generator
) -> np.ndarray:
    """Amount of basophilic stain per pixel of the cell (H, W) float32, about 1."""
    basophilia = degree(traits["basophilia"])
    depth = (0.55 + 0.9 * basophilia) * math.exp(rng.normal(0, 0.12))
    dense = depth * (1 + 0.17 * texture(size, scale_um=0.26, rng=rng))
    dense *= 1 + 0.45 * np.exp(-((body.cell / 0.55) ** 2))  # deeper towards the membrane
    dense *= 1 - 0.30 * np.exp(-(((body.nucleus - 0.3) / 0.5) ** 2))  # pale around the nucleus
    rows, columns = field_grid(size)
    for _ in range(rng.poisson(1.1 * basophilia**2)):  # vacuoles
        y, x = beside(body, rng.uniform(0.8, 1.2), rng=rng)
        gap = np.hypot(rows - y, columns - x) - rng.uniform(0.2, 0.45)
        dense *= 1 - 0.8 * soft_step(gap, 0.12)
    return np.asarray(np.maximum(dense, 0.02))


def cell_density(
    body: Body,
    *,
    stain: Stain,
    traits: dict[str, float],
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Optical density (size, size, 3) float32 of the white cell, as if it filled the field."""
    inside = soft_step(body.nucleus, rng.uniform(0.14, 0.24))
    plasm = cytoplasm(body, traits=traits, size=size, rng=rng) * (1 - 0.6 * inside)
    nuclear = chromatin(body, traits=traits, size=size, rng=rng) * inside
    density = plasm[..., None] * stain.cytoplasm.astype(np.float32)  # (H, W, 3)
    density += nuclear[..., None] * stain.chromatin.astype(np.float32)
    return density
