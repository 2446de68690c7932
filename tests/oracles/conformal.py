"""Split conformal sets from the textbook quantile (Angelopoulos & Bates 2021, section 1)."""

import math

import numpy as np


def sets_oracle(
    labels: np.ndarray, probabilities: np.ndarray, new: np.ndarray, *, coverage: float
) -> np.ndarray:
    """(M, K) bool: classes whose 1 - p is at most the ceil((n + 1) coverage)-th smallest score."""
    found = sorted(1 - row[label] for row, label in zip(probabilities, labels, strict=True))
    rank = math.ceil(round((len(found) + 1) * coverage, 9))
    return np.array([[1 - p <= found[rank - 1] + 1e-9 for p in row] for row in new])
