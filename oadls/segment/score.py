"""How well a mask agrees with a drawn one."""

import numpy as np

NUCLEUS, CYTOPLASM = 255, 128


def dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Twice the overlap over the sum of the two areas (Dice 1945).

    predicted, truth : (H, W) bool
    returns a value in [0, 1]; 1 when both are empty, for then they agree
    raises ValueError when the shapes differ
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"dice: masks must share a shape, got {predicted.shape}, {truth.shape}")
    predicted, truth = predicted.astype(bool), truth.astype(bool)
    areas = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / areas if areas else 1.0


def score_mask(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Dice of the nucleus and of the whole cell (nucleus and cytoplasm).

    predicted, truth : (H, W) uint8 mask codes, 0 background, 128 cytoplasm, 255 nucleus
    returns {"nucleus": Dice, "cell": Dice}
    """
    return {
        "nucleus": dice(predicted == NUCLEUS, truth == NUCLEUS),
        "cell": dice(predicted >= CYTOPLASM, truth >= CYTOPLASM),
    }
