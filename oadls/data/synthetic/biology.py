"""The biology that tells a lymphoblast from a lymphocyte: traits, classes, patients."""

import math

import numpy as np

LABELS = ("all", "normal")

# How far the class means lie apart, in standard deviations of one class. Size alone separates
# the classes in about 80 % of the cells, everything together in about 95 %.
TRAITS = {
    "size": 1.65,
    "fill": 1.3,  # share of the cell that is nucleus
    "irregularity": 1.8,
    "openness": 2.3,  # fine, open chromatin against clumps
    "nucleoli": 2.2,
    "basophilia": 1.0,
}
PATIENT_SHARE = 0.25  # of the variance within a class: cells of one patient look alike


def draw_traits(*, offsets: np.ndarray, label: str, rng: np.random.Generator) -> dict[str, float]:
    """One cell's biology: each trait in standard deviations around the mean of both classes.

    offsets : (len(TRAITS),) the patient's own deviations, standard normal
    """
    side = 0.5 if label == "all" else -0.5
    own = rng.standard_normal(len(TRAITS))
    mixed = np.sqrt(PATIENT_SHARE) * offsets + np.sqrt(1 - PATIENT_SHARE) * own
    drawn = zip(TRAITS.items(), mixed, strict=True)
    return {name: float(side * apart + value) for (name, apart), value in drawn}


def degree(trait: float) -> float:
    """A trait as a share: 0 not at all, 1 fully."""
    return 1 / (1 + math.exp(-1.3 * trait))
