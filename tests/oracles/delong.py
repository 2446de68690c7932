"""DeLong's test of two correlated AUROCs by structural components (DeLong et al. 1988, eqs 4-7)."""

import math

import numpy as np


def beats(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def components(positive: np.ndarray, score: np.ndarray) -> tuple[list[float], list[float]]:
    """What each positive, and each negative, cell contributes to the AUROC."""
    up, down = score[positive], score[~positive]
    v10 = [sum(beats(x, y) for y in down) / len(down) for x in up]
    v01 = [sum(beats(x, y) for x in up) / len(up) for y in down]
    return v10, v01


def covariance(a: list[float], b: list[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / (len(a) - 1)


def delong_oracle(
    positive: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[float, float]:
    """Difference of the AUROCs and its two-sided p."""
    parts = [components(positive, score) for score in (first, second)]
    areas = [sum(v10) / len(v10) for v10, _ in parts]
    s = [[0.0, 0.0], [0.0, 0.0]]
    for i in range(2):
        for j in range(2):
            s10 = covariance(parts[i][0], parts[j][0])
            s01 = covariance(parts[i][1], parts[j][1])
            s[i][j] = s10 / len(parts[0][0]) + s01 / len(parts[0][1])
    z = (areas[0] - areas[1]) / math.sqrt(s[0][0] + s[1][1] - s[0][1] - s[1][0])
    return areas[0] - areas[1], math.erfc(abs(z) / math.sqrt(2))
