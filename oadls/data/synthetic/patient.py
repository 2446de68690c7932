"""What one patient's slide has in common: stain, optics, red cells, and the patient's biology.

Nothing here knows the label, so neither the stain nor the background can tell the class.
Colours were chosen to lie where ALL-IDB2's lie (medians over its 260 images).
"""

from dataclasses import dataclass

import numpy as np

from oadls.data.synthetic.biology import TRAITS

# Optical density of (red, green, blue) relative to green, for the Wright-Giemsa dyes as a camera
# sees them: azure on chromatin, azure on basophilic cytoplasm, eosin on haemoglobin.
CHROMATIN = np.array([0.46, 1.0, 0.13])
CYTOPLASM = np.array([0.74, 1.0, 0.14])
HAEMOGLOBIN = np.array([0.42, 1.0, 0.80])
GRANULES = np.array([0.50, 1.0, 0.26])


@dataclass(frozen=True)
class Stain:
    """Optical density per unit of dye, each (3,) float64: how deep and in which hue it stains."""

    chromatin: np.ndarray
    cytoplasm: np.ndarray
    haemoglobin: np.ndarray
    granules: np.ndarray


@dataclass(frozen=True)
class Optics:
    """Lamp, lens and sensor of one session."""

    white: np.ndarray  # (3,) colour of empty glass, in [0, 255]
    glare: float  # share of the light that never crossed the smear
    gradient: float  # fall of the light across the field, as a share
    blur_um: float  # standard deviation of the point spread
    fringe_um: np.ndarray  # (2,) shift of red against blue: lateral chromatic aberration
    noise: float  # standard deviation on empty glass, in gray levels


@dataclass(frozen=True)
class Smear:
    """Red cells and platelets of one slide."""

    red_per_um2: float
    red_radius_um: float
    pallor: float  # depth of the central pallor, 0 none, 1 a ring
    packing: float  # least distance of two red cells, in diameters: below 1 they overlap
    platelets: float  # mean number in a field
    debris: float  # strength of the precipitate on the glass


@dataclass(frozen=True)
class Patient:
    """One patient's slide; `traits` are offsets of the cells' biology in standard deviations."""

    stain: Stain
    optics: Optics
    smear: Smear
    traits: np.ndarray  # (len(TRAITS),) standard normal


def draw_patient(*, rng: np.random.Generator) -> Patient:
    """Draw a patient's slide, whatever the patient's diagnosis."""
    return Patient(
        stain=draw_stain(rng),
        optics=draw_optics(rng),
        smear=draw_smear(rng),
        traits=rng.standard_normal(len(TRAITS)),
    )


def draw_stain(rng: np.random.Generator) -> Stain:
    """Depth and hue of the four stained substances; the depth is partly common to all."""
    common = rng.normal(0, 0.12)

    def dye(hue: np.ndarray, depth: float, spread: float) -> np.ndarray:
        tint = hue * np.exp(rng.normal(0, 1, 3) * np.array([0.14, 0.0, 0.16]))
        return np.asarray(tint * depth * np.exp(common + rng.normal(0, spread)))

    return Stain(
        chromatin=dye(CHROMATIN, 1.5, 0.17),
        cytoplasm=dye(CYTOPLASM, 0.33, 0.16),
        haemoglobin=dye(HAEMOGLOBIN, 0.28, 0.13),
        granules=dye(GRANULES, 0.80, 0.20),
    )


def draw_optics(rng: np.random.Generator) -> Optics:
    """Lamp, white balance, focus and noise."""
    green = float(np.clip(rng.normal(160, 18), 112, 215))
    balance = np.array([rng.normal(1.03, 0.025), 1.0, rng.normal(0.92, 0.06)])
    angle = rng.uniform(0, 2 * np.pi)
    return Optics(
        white=np.clip(green * balance, 70, 235),
        glare=float(rng.uniform(0.01, 0.06)),
        gradient=float(rng.uniform(0, 0.10)),
        blur_um=float(rng.uniform(0.09, 0.22)),
        fringe_um=rng.uniform(0, 0.14) * np.array([np.sin(angle), np.cos(angle)]),
        noise=float(rng.uniform(1.0, 2.4)),
    )


def draw_smear(rng: np.random.Generator) -> Smear:
    """How crowded the slide is and what its red cells look like."""
    return Smear(
        red_per_um2=float(rng.uniform(0.009, 0.016)),
        red_radius_um=float(np.clip(rng.normal(3.9, 0.35), 3.1, 4.8)),
        pallor=float(rng.beta(1.5, 1.9)),
        packing=float(rng.uniform(0.70, 1.0)),
        platelets=float(rng.uniform(0.1, 1.2)),
        debris=float(rng.uniform(0, 0.012)),
    )
