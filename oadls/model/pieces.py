"""A timm model as a row of pieces, each of which gives a map (B, C, H, W)."""

from typing import Any

import torch
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn


def pieces_of(model: nn.Module) -> list[nn.Module]:
    """The stem (0), stages (1, 2, ...) and head convolution (last) of an EfficientNet.

    Any other model is one piece.
    """
    if isinstance(model, EfficientNet):
        stem = nn.Sequential(model.conv_stem, model.bn1)
        return [stem, *model.blocks.children(), nn.Sequential(model.conv_head, model.bn2)]
    return [Features(model)]


class Features(nn.Module):
    """A whole timm model as one piece: its last map, or what it pools from its tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, C, H, W); tokens become (B, C, 1, 1)."""
        x = self.model.forward_features(x)  # type: ignore[operator]
        if x.ndim == 4 and getattr(self.model, "output_fmt", "NCHW") == "NCHW":
            return x
        pooled = self.model.forward_head(x, pre_logits=True)  # type: ignore[operator]
        return pooled[:, :, None, None]  # (B, C, 1, 1)


def drop_idle(model: nn.Module, *, size: int | None) -> list[str]:
    """Take out the parts of a timm model that its features do not need, and return their names.

    The fully connected layers of a VGG have nine tenths of its parameters; several devices cannot
    train a parameter that the loss does not depend on. A gradient is asked for without arithmetic:
    the model runs on tensors that have no data.

    size : for which it was built, if it is for one alone
    """
    if isinstance(model, EfficientNet):  # has none
        return []
    names = [name for name, _ in model.named_parameters()]
    meta = {name: torch.empty_like(p, device="meta") for name, p in model.named_parameters()}
    leaves = [tensor.requires_grad_() for tensor in meta.values()]
    buffers = {f"model.{name}": b.to("meta") for name, b in model.named_buffers()}
    tensors = {f"model.{name}": tensor for name, tensor in meta.items()} | buffers
    own: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
    side = size if size and own["fixed_input_size"] else own["input_size"][-1]
    images = torch.empty(2, 3, side, side, device="meta")
    with torch.enable_grad():
        features = torch.func.functional_call(Features(model), tensors, images)
        found = torch.autograd.grad(features.sum(), leaves, allow_unused=True)
    used = {name.split(".")[0] for name, g in zip(names, found, strict=True) if g is not None}
    holds = {name for name, part in model.named_children() if list(part.parameters())}
    idle = sorted(holds - used)
    for name in idle:
        setattr(model, name, nn.Identity())
    return idle
