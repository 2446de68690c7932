"""Equations 7 to 9 of the paper for one number, with what PyTorch calls momentum and centered."""

import math
from collections.abc import Iterable


def rmsprop(
    theta: float,
    gradients: Iterable[float],
    *,
    lr: float,
    rho: float,
    delta: float,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> float:
    """θ after one step for each gradient."""
    r = mean = velocity = 0.0
    for g in gradients:
        g = g + weight_decay * theta
        r = rho * r + (1 - rho) * g * g  # eq. 7
        mean = rho * mean + (1 - rho) * g
        variance = r - mean * mean if centered else r
        velocity = momentum * velocity - lr / math.sqrt(delta + variance) * g  # eq. 8
        theta = theta + velocity  # eq. 9
    return theta
