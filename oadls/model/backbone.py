"""A pretrained network cut in two: a frozen trunk, whose output can be cached, and a trained tail.

The pieces of a timm EfficientNet are its stem (0), its stages (1, 2, ...) and its head convolution
(last). Any other timm model is one piece; what a transformer makes of its tokens is a map of one
pixel. Frozen weights stay out of checkpoints; their fingerprint goes in, and is compared when a
checkpoint is loaded.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from oadls.errors import UserError
from oadls.model.pieces import pieces_of
from oadls.model.weights import create, fingerprint
from oadls.model.whole_batch import see_whole_batch

Maps = tuple[Tensor, ...]


class Backbone(nn.Module):
    """Images to the maps that a head asks for, finest first.

    name       : a timm model
    weights    : "package", "hub", "random" or the path of a local file (see `weights.create`)
    size       : side of the square images in pixels
    mean, std  : of the pretraining, per RGB channel in [0, 1]
    taps       : the pieces whose outputs are returned; negative counts from the end. "cover" before
        them also returns, first, how much of each 8×8 px the cell covers where it is cut out on
        black: (B, 1, size // 8, size // 8) in [0, 1]
    train_last : how many of the last pieces are trained, or "all"
    seed       : of random weights
    channels   : of every tapped map; `sizes`: their (height, width)
    raises UserError for pieces that the model does not have and images that it cannot take
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        name: str,
        weights: str,
        size: int,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        taps: Sequence[int | str] = (-1,),
        train_last: int | str = 0,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        pieces = pieces_of(create(name=name, weights=weights, size=size, seed=seed))
        self.cover = "cover" in taps
        taps = [tap for tap in taps if tap != "cover"]
        self.taps = _resolve_taps(taps, pieces=len(pieces), name=name)
        pieces = pieces[: self.taps[-1] + 1]  # what no head reads is not computed
        self.cut = len(pieces) - _count_trained(train_last, pieces=len(pieces), name=name)
        self.name, self.size = name, size
        self.pretrained = weights != "random"
        self.frozen = nn.ModuleList(pieces[: self.cut]).requires_grad_(False)
        self.trained = nn.ModuleList(pieces[self.cut :])
        if not self.pretrained:
            see_whole_batch(self.trained)
        self.register_buffer("mean", torch.tensor(list(mean)).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(3, 1, 1), persistent=False)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.weights_sha256 = fingerprint(self.frozen.state_dict())
        self.to(memory_format=self.memory_format)
        self.register_state_dict_post_hook(_leave_out_frozen)
        shapes = self.eval()._map_shapes()
        self.train()
        self.channels = tuple(shape[1] for shape in shapes)
        self.sizes = tuple((shape[2], shape[3]) for shape in shapes)

    @torch.no_grad()
    def trunk(self, images: Tensor) -> Maps:
        """The frozen part, the same for every epoch.

        images : (B, 3, size, size) RGB, uint8 or floating in [0, 1]
        returns the tapped maps up to the cut, finest first, then the map at the cut unless it is
            tapped itself or nothing is trained; the images as they came when all is trained
        """
        if images.shape[1:] != (3, self.size, self.size):
            raise ValueError(f"images: (B, 3, {self.size}, {self.size}), got {tuple(images.shape)}")
        if self.cut == 0:
            return (images,)
        x = self._normalise(images)
        kept = self._covers(images)
        for index, piece in enumerate(self.frozen):
            x = piece(x)
            if index in self.taps or index == self.cut - 1:
                kept.append(x)
        return tuple(kept)

    def tail(self, maps: Maps) -> Maps:
        """The trained part: what `trunk` returned (half precision is fine) to the tapped maps."""
        if self.cut == 0:
            x = self._normalise(maps[0])
            tapped = self._covers(maps[0])
        else:
            maps = tuple(m.to(self.mean.dtype) for m in maps)
            x = maps[-1]
            tapped = list(maps[: self.cover + sum(tap < self.cut for tap in self.taps)])
        for index, piece in enumerate(self.trained, start=self.cut):
            x = piece(x)
            if index in self.taps:
                tapped.append(x)
        return tuple(tapped)

    def forward(self, images: Tensor) -> Maps:
        """(B, 3, size, size) to the tapped maps, each (B, channels[i], *sizes[i])."""
        return self.tail(self.trunk(images))

    def train(self, mode: bool = True) -> "Backbone":
        """Trains the tail, whose batch norms keep the statistics of the pretraining.

        Batches are small and full of one patient's cells: their statistics would be that patient's.
        From scratch there are no others, and batch norms learn them as they always do.
        """
        super().train(mode)
        self.frozen.eval()
        if self.pretrained:
            for module in self.trained.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def _normalise(self, images: Tensor) -> Tensor:
        scale = 1.0 if images.is_floating_point() else 1 / 255
        x = (images.to(self.mean.dtype) * scale - self.mean) / self.std
        return x.contiguous(memory_format=self.memory_format)

    def _covers(self, images: Tensor) -> list[Tensor]:
        """The cover of each picture, if a head asks for it."""
        if not self.cover:
            return []
        cell = (images.amax(dim=1, keepdim=True) > 0).to(self.mean.dtype)  # (B, 1, size, size)
        return [nn.functional.avg_pool2d(cell, 8)]

    def _map_shapes(self) -> list[torch.Size]:
        """Shapes of the tapped maps: what a blank picture gives."""
        blank = torch.zeros(1, 3, self.size, self.size, dtype=self.mean.dtype)
        try:
            with torch.no_grad():
                maps = self(blank)
        except RuntimeError as error:
            raise UserError(
                f"backbone: {self.name} cannot take images of {self.size} px: {error}"
            ) from error
        if any(m.ndim != 4 for m in maps):
            raise UserError(f"backbone: {self.name} must give (B, C, H, W), not {maps[-1].shape}")
        return [m.shape for m in maps]

    # Checkpoints: the fingerprint stands for the frozen weights.

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        own = {f"{prefix}frozen.{key}": v for key, v in self.frozen.state_dict().items()}
        state_dict.update(own)  # strict loading asks for every key
        super()._load_from_state_dict(state_dict, prefix, *args)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(list(bytes.fromhex(self.weights_sha256)), dtype=torch.uint8)  # (32,)

    def set_extra_state(self, state: Tensor) -> None:
        saved = bytes(state.tolist()).hex()
        if saved != self.weights_sha256:
            raise UserError(
                f"checkpoint: its head was trained on a frozen {self.name} with weights "
                f"{saved[:12]}…, this one has {self.weights_sha256[:12]}…"
            )


def _leave_out_frozen(module: nn.Module, state: dict, prefix: str, metadata: Any) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}frozen.")]:
        del state[key]


def _resolve_taps(taps: Sequence[int | str], *, pieces: int, name: str) -> list[int]:
    if not all(isinstance(tap, int) for tap in taps):
        raise UserError(f"backbone: taps are numbers, and cover, they are {list(taps)}")
    resolved = [int(tap) + pieces if int(tap) < 0 else int(tap) for tap in taps]
    if (
        not resolved
        or sorted(set(resolved)) != resolved
        or not 0 <= resolved[0] <= resolved[-1] < pieces
    ):
        raise UserError(
            f"backbone: taps must rise within the {pieces} pieces of {name} "
            f"(only EfficientNets have more than one), they are {list(taps)}"
        )
    return resolved


def _count_trained(train_last: int | str, *, pieces: int, name: str) -> int:
    count = pieces if train_last == "all" else train_last
    if not isinstance(count, int) or not 0 <= count <= pieces:
        raise UserError(
            f"backbone: train_last must be all or 0 to {pieces}, the pieces of {name} in use "
            f"(only EfficientNets have more than one), it is {train_last!r}"
        )
    return count
