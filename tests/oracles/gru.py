"""One step of a gated recurrent unit, unit by unit (Cho et al. 2014, PyTorch's gate order)."""

import math

import numpy as np


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def gru_step(
    x: np.ndarray,
    state: np.ndarray,
    *,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray,
    bias_hh: np.ndarray,
) -> np.ndarray:
    """x (C,), state (E,), weights (3E, C) and (3E, E), biases (3E,) to the next state (E,)."""
    units = len(state)
    after = np.zeros(units)
    for e in range(units):
        reset, update, new = e, units + e, 2 * units + e
        from_x = [sum(weight_ih[g] * x) + bias_ih[g] for g in (reset, update, new)]
        from_h = [sum(weight_hh[g] * state) + bias_hh[g] for g in (reset, update, new)]
        r = sigmoid(from_x[0] + from_h[0])
        z = sigmoid(from_x[1] + from_h[1])
        n = math.tanh(from_x[2] + r * from_h[2])
        after[e] = (1 - z) * n + z * state[e]
    return after
