"""How a feature map becomes the (frequency × time) plane of the ACRNN: three readings.

The paper feeds "the features" to a network that divides frequency by 32 and time by 18, which a
12×12 map cannot pass. Each plane is built from the backbone's `channels` and `sizes`, has its
`channels`, `frequency` and `time`, and takes any map size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from oadls.model.whole_batch import BatchNorm2d

Maps = tuple[Tensor, ...]
Sizes = Sequence[tuple[int, int]]


class Plane(nn.Module):
    """(B, channels, frequency, time) from the maps of a backbone.

    spatial : rows and columns of the plane are those of the picture
    """

    spatial = False
    channels: int
    frequency: int
    time: int


class SerpentinePlane(Plane):
    """Reading A, literal: channels are frequency, positions in serpentine order are time.

    Walking every other row backwards keeps neighbours in time neighbours in the image.
    """

    order: Tensor

    def __init__(self, *, channels: Sequence[int], sizes: Sizes) -> None:
        super().__init__()
        height, width = sizes[-1]
        order = torch.arange(height * width).view(height, width)
        order[1::2] = order[1::2].flip(1)
        self.register_buffer("order", order.flatten(), persistent=False)
        self.channels, self.frequency, self.time = 1, channels[-1], height * width

    def forward(self, maps: Maps) -> Tensor:
        """maps[-1] (B, C, H, W) to (B, 1, C, H·W)."""
        return maps[-1].flatten(2)[:, None, :, self.order]


class ProjectedPlane(SerpentinePlane):
    """Reading A128: A after a learned projection to `bands` frequencies, as the cited ACRNN has."""

    def __init__(self, *, channels: Sequence[int], sizes: Sizes, bands: int = 128) -> None:
        super().__init__(channels=channels, sizes=sizes)
        self.project = _project(channels[-1], bands)
        self.frequency = bands

    def forward(self, maps: Maps) -> Tensor:
        """maps[-1] (B, C, H, W) to (B, 1, bands, H·W)."""
        return super().forward((self.project(maps[-1]),))


class PyramidPlane(Plane):
    """Reading F, spatial: every map projected to `width` channels, resized and stacked.

    Its rows and columns stay those of the image, so that attention is a map over the image.
    """

    spatial = True

    def __init__(
        self, *, channels: Sequence[int], sizes: Sizes, width: int = 32, side: int = 96
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(_project(c, width) for c in channels)
        self.channels, self.frequency, self.time = width * len(channels), side, side

    def forward(self, maps: Maps) -> Tensor:
        """Maps (B, C_i, H_i, W_i) to (B, width · len(maps), side, side)."""
        side = (self.frequency, self.time)
        bands = [project(m) for project, m in zip(self.project, maps, strict=True)]
        bands = [functional.interpolate(b, side, mode="bilinear") for b in bands]
        return torch.cat(bands, dim=1)


def _project(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), BatchNorm2d(width))
