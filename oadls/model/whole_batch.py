"""Layers that see the whole batch, however many devices share it.

On one device they are torch's. On several they give its numbers for the same batch, so that a
network learns the same. (`torch.nn.SyncBatchNorm` takes no tensor that is on a processor.)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from oadls.ranks import place_in_batch, total, world


class _WholeBatchNorm(_BatchNorm):
    """Mean and variance over the cells of all ranks."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, ...), the rank's part of the batch, to the same shape and dtype."""
        if world() == 1 or not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        over = [axis for axis in range(x.ndim) if axis != 1]
        along = (1, -1, *[1] * (x.ndim - 2))  # shape of a value for each channel
        values = x.float()
        count = values.new_tensor([x.numel() / x.shape[1]])
        sums = total(torch.cat([values.sum(dim=over), count]))  # (C + 1,)
        mean, count = sums[:-1] / sums[-1], sums[-1]
        apart = values - mean.view(along)
        variance = total(apart.square().sum(dim=over)) / count  # (C,)
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        y = apart * (variance + self.eps).rsqrt().view(along)
        if self.affine:
            y = y * self.weight.view(along) + self.bias.view(along)
        return y.to(x.dtype)

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
