"""How large a fitted model is: the numbers that it holds, the arithmetic that a cell takes."""

from collections.abc import Callable
from typing import Any

import torch
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from oadls.errors import UserError

# what a prediction reads of each kind: a selector's forest has done its work
HELD: dict[type, Callable[[Any], int]] = {
    StandardScaler: lambda model: model.mean_.size + model.scale_.size,
    SelectorMixin: lambda model: int(model.get_support().sum()),
    LogisticRegression: lambda model: model.coef_.size + model.intercept_.size,
    SVC: lambda model: model.support_vectors_.size + model.dual_coef_.size + model.intercept_.size,
}
COUNTED = (  # in words
    "support vectors times features, dual coefficients, offsets, means, deviations, columns kept"
)


def parameters(network: nn.Module) -> dict[str, int]:
    """{"parameters": all, "trained": those that training changes} of a network.

    Running means of batch norms are no parameters.
    """
    every = list(network.parameters())
    trained = [each for each in every if each.requires_grad]
    return {
        "parameters": sum(each.numel() for each in every),
        "trained": sum(each.numel() for each in trained),
    }


@torch.no_grad()
def multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of one picture of size × size pixels through a network in eval mode.

    Of convolutions, linear layers (those within recurrent and attention layers too) and matrix
    products; what works element by element is left out, as everywhere.
    """
    counter = FlopCounterMode(display=False)
    device = next(network.parameters()).device
    # the fused attention of processors is one that the counter does not know
    with counter, sdpa_kernel(SDPBackend.MATH):
        network.eval()(torch.zeros(1, 3, size, size, device=device))
    return counter.get_total_flops() // 2  # it counts a multiply-add as two


def numbers_held(model: Any) -> int:
    """How many numbers a fitted scikit-learn model predicts with (COUNTED).

    raises UserError for a kind of model whose numbers are not known
    """
    for kind, count in HELD.items():
        if isinstance(model, kind):
            return count(model)
    parts = _parts(model)
    if not parts:
        raise UserError(f"size: the numbers of a {type(model).__name__} are not counted yet")
    return sum(numbers_held(part) for part in parts) + hasattr(model, "temperature_")


def _parts(model: Any) -> list[BaseEstimator]:
    """The fitted models that a model predicts through."""
    if isinstance(model, Pipeline):
        return [step for _, step in model.steps]
    found = [value for name, value in vars(model).items() if name.endswith("_")]
    return [part for part in found if isinstance(part, BaseEstimator)]
