"""The simplest heads: what a map of the backbone holds without any network on top."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oadls.errors import UserError
from oadls.model.whole_batch import BatchNorm1d, Dropout


class LinearProbe(nn.Module):
    """Global average pool of the coarsest map, standardised; dropout, one linear layer.

    The mean runs over the whole picture: on a window of fixed width it also sees the cell's size.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        classes: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.standardise = BatchNorm1d(channels[-1], affine=False)
        self.dropout = Dropout(dropout)
        self.classifier = _from_no_opinion(channels[-1], classes)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps (B, C_i, H_i, W_i), finest first, to logits (B, classes)."""
        pooled = maps[-1].mean(dim=(2, 3))  # (B, C)
        return self.classifier(self.dropout(self.standardise(pooled))).float()  # (B, classes)


class CellProbe(nn.Module):
    """Size and texture of a cell that is cut out on black, standardised; one linear layer.

    Size is the logarithm of the share of the window that the cell covers; texture the standard
    deviation of each channel of the last map over the positions that the cell covers by more than
    half, so that neither the outline nor the surround speaks.

    size_scale : how many times a standard deviation of the size counts as one of a channel, which
        spares it that much of the weight decay
    raises UserError when the backbone does not give the cover first
    """

    scale: Tensor

    def __init__(
        self,
        *,
        channels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        classes: int,
        size_scale: float = 3.0,
    ) -> None:
        super().__init__()
        if len(channels) != 2 or channels[0] != 1:
            raise UserError("cell_probe: model.taps must be cover and one piece, [cover, 4]")
        self.standardise = BatchNorm1d(1 + channels[1], affine=False)
        scale = torch.tensor([size_scale] + [1.0] * channels[1])
        self.register_buffer("scale", scale, persistent=False)
        self.classifier = _from_no_opinion(1 + channels[1], classes)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Cover (B, 1, h, w) and a map (B, C, H, W) to logits (B, classes)."""
        cover, features = (m.float() for m in maps)
        grid = (features.shape[2], features.shape[3])
        inside = nn.functional.adaptive_avg_pool2d(cover, grid) > 0.5  # (B, 1, H, W)
        count = inside.sum(dim=(2, 3)).clamp_min(1)  # (B, 1)
        mean = (features * inside).sum(dim=(2, 3)) / count  # (B, C)
        apart = (features - mean[:, :, None, None]) * inside  # (B, C, H, W)
        spread = (apart.square().sum(dim=(2, 3)) / count + 1e-12).sqrt()  # (B, C)
        size = cover.mean(dim=(2, 3)).clamp_min(1e-4).log()  # (B, 1)
        values = self.standardise(torch.cat([size, spread], dim=1)) * self.scale  # (B, 1 + C)
        return self.classifier(values).float()  # (B, classes)


def _from_no_opinion(inputs: int, classes: int) -> nn.Linear:
    """A linear layer of zeros: what no cell has taught weighs nothing."""
    layer = nn.Linear(inputs, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
