"""RMSProp as the paper writes it (eqs 7–9), δ inside the root."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from oadls.errors import UserError

Tensors = list[Tensor] | tuple[Tensor, ...]


class RMSProp(Optimizer):
    """r ← ρ r + (1 − ρ) g⊙g, θ ← θ − ε g / √(δ + r), r₀ = 0.

    Eq. 8 prints the root over ε as well; with it the step would be 30 times longer at ε = 1e-3.
    `torch.optim.RMSprop` adds its eps outside the root, timm's `RMSpropTF` starts r at one.

    lr           : ε
    rho          : ρ, how slowly the mean of squares forgets
    delta        : δ, in squared gradient
    momentum     : of the steps, as torch has it
    centered     : r less the square of the running mean gradient
    weight_decay : times θ, added to the gradient
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        rho: float = 0.9,
        delta: float = 1e-6,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if not (lr >= 0 and 0 <= rho < 1 and delta > 0 and momentum >= 0 and weight_decay >= 0):
            raise UserError(
                "rmsprop: lr, momentum and weight_decay must be at least 0, rho in [0, 1), delta "
                f"above 0; they are {lr}, {momentum}, {weight_decay}, {rho}, {delta}"
            )
        defaults = {
            "lr": lr,
            "rho": rho,
            "delta": delta,
            "momentum": momentum,
            "centered": centered,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            theta = [p for p in group["params"] if p.grad is not None]
            if theta:
                self._update(theta, group)
        return loss

    def _update(self, theta: list[Tensor], group: dict[str, Any]) -> None:
        gradient: Tensors = [p.grad for p in theta if p.grad is not None]
        if group["weight_decay"]:
            gradient = torch._foreach_add(gradient, theta, alpha=group["weight_decay"])
        square = self._running("r", theta)
        torch._foreach_mul_(square, group["rho"])
        torch._foreach_addcmul_(square, gradient, gradient, value=1 - group["rho"])
        spread: Tensors = square
        if group["centered"]:
            spread = self._variance(theta, gradient, square, group)
        root = torch._foreach_add(spread, group["delta"])
        torch._foreach_sqrt_(root)
        if group["momentum"]:
            steps = self._running("momentum", theta)
            torch._foreach_mul_(steps, group["momentum"])
            torch._foreach_addcdiv_(steps, gradient, root)
            torch._foreach_add_(theta, steps, alpha=-group["lr"])
        else:
            torch._foreach_addcdiv_(theta, gradient, root, value=-group["lr"])

    def _variance(
        self, theta: list[Tensor], gradient: Tensors, square: Tensors, group: dict
    ) -> Tensors:
        mean = self._running("mean", theta)
        torch._foreach_lerp_(mean, gradient, 1 - group["rho"])
        variance = torch._foreach_addcmul(square, mean, mean, value=-1)
        torch._foreach_clamp_min_(variance, 0.0)  # rounding may leave it below, and a root of NaN
        return variance

    def _running(self, name: str, theta: list[Tensor]) -> list[Tensor]:
        for p in theta:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return [self.state[p][name] for p in theta]
