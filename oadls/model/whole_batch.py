"""Layers that see the whole batch, however many devices share it.

On one device they are torch's. On several they give its numbers for the same batch, so that a
network learns the same. (`torch.nn.SyncBatchNorm` takes no tensor that is on a processor.)
"""

from typing import Any

import timm.layers
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from oadls.errors import UserError
from oadls.ranks import place_in_batch, total, world


class _Normalise(torch.autograd.Function):
    """Batch norm with mean and variance over the cells of all ranks.

    On a processor sums are taken in float64, as torch's own are: the rounding of a sum in float32
    changes with its parts, and enough of it turns ReLUs and pools the other way.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(b, C, ...) to that shape and dtype; mean and unbiased variance of the batch (C,)."""
        over, along = _axes(x)
        kind = torch.promote_types(x.dtype, torch.float32)
        exact = torch.float64 if x.device.type == "cpu" else kind
        number = torch.full((1,), x.numel() // x.shape[1], dtype=exact, device=x.device)
        sums = total(torch.cat([x.sum(over, dtype=exact), number]))  # (C + 1,)
        mean, number = (sums[:-1] / sums[-1]).to(kind), sums[-1:]
        squares = total((x - mean.view(along)).square().sum(over, dtype=exact))  # (C,)
        variance = (squares / number).to(kind)
        y = F.batch_norm(x, mean, variance, weight, bias, eps=eps)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), number)
        unbiased = (squares / (number - 1)).to(kind)
        ctx.mark_non_differentiable(mean, unbiased)
        return y, mean, unbiased

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, number = ctx.saved_tensors
        over, along = _axes(x)
        gradient, apart = gradients[0].to(mean.dtype), x - mean.view(along)
        parts = torch.stack(
            [part.sum(over, dtype=number.dtype) for part in (gradient, gradient * apart)]
        )  # (2, C), of this rank's cells
        shift, slope = (total(parts) / number).to(mean.dtype)
        slope = slope * scale.square()
        factor = scale if weight is None else scale * weight
        by_x = (gradient - shift.view(along) - apart * slope.view(along)) * factor.view(along)
        if weight is None:
            return by_x.to(x.dtype), None, None, None
        shift, slope = parts.to(mean.dtype)
        return by_x.to(x.dtype), slope * scale, shift, None


def _axes(x: Tensor) -> tuple[list[int], tuple[int, ...]]:
    """The axes that a channel is summed over, and the shape of one value for each channel."""
    return [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))


class _WholeBatchNorm(_BatchNorm):
    """Mean and variance over the cells of all ranks."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, ...), the rank's part of the batch, to the same shape and dtype."""
        if world() == 1 or not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)
        self._follow(mean, variance)
        return y

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as torch does."""
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr]
        self.running_var.lerp_(variance, self.momentum)  # type: ignore[union-attr]


class BatchNorm1d(_WholeBatchNorm, nn.BatchNorm1d):
    """Of (b, C) or (b, C, L)."""


class BatchNorm2d(_WholeBatchNorm, nn.BatchNorm2d):
    """Of (b, C, H, W)."""


class BatchNormAct2d(_WholeBatchNorm, timm.layers.BatchNormAct2d):
    """timm's, which an activation follows, of (b, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, H, W), the rank's part of the batch, to the same shape and dtype."""
        y = super().forward(x)  # on one rank, and not in training, timm's with its activation
        return y if world() == 1 or not self.training else self.act(self.drop(y))


def see_whole_batch(network: nn.Module) -> None:
    """Turn the batch norms of a network into those that see the whole batch, where they are.

    raises UserError for a kind that is not here
    """
    kinds: dict[type, type] = {
        nn.BatchNorm1d: BatchNorm1d,
        nn.BatchNorm2d: BatchNorm2d,
        timm.layers.BatchNormAct2d: BatchNormAct2d,
    }
    for name, layer in network.named_modules():
        if type(layer) in kinds:
            layer.__class__ = kinds[type(layer)]  # weights, statistics and settings stay
        elif isinstance(layer, _BatchNorm) and not isinstance(layer, _WholeBatchNorm):
            raise UserError(
                f"backbone: a network from scratch can have the batch norms "
                f"{', '.join(kind.__name__ for kind in kinds)}, {name} is {type(layer).__name__}"
            )


class Dropout(nn.Dropout):
    """Every rank draws for the whole batch, from equal random states, and takes its rows."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, ...), the rank's part of the batch, to the same shape and dtype."""
        if world() == 1 or not self.training:
            return super().forward(x)
        first, size = place_in_batch(x)
        # torch draws in the order of memory; between equal strides a part of one cell comes inside
        order = sorted([*range(1, x.ndim), 0], key=x.stride, reverse=True)
        whole = torch.empty_permuted((size, *x.shape[1:]), order, dtype=x.dtype, device=x.device)
        kept = F.dropout(whole.fill_(1), self.p)  # (B, ...), 0 or 1 / (1 - p)
        return x * kept[first : first + len(x)]
