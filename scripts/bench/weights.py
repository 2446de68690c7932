"""Weights for an EfficientNetV2-M where no pretrained ones can be fetched."""

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

NAME = "tf_efficientnetv2_m.in21k_ft_in1k"
SIZE = 384
RESIDUAL = 0.2  # weight of a branch against its shortcut, about what training leaves


def sensible_weights(folder: Path, images: Tensor | None = None) -> Path:
    """A .safetensors of random weights that keep signals as a trained network does.

    Plain random weights let rounding grow from layer to layer until the last map is noise, and
    small signals decay to denormal numbers, which are slow. Branches are damped and the batch
    norms take the statistics of `images` (B, 3, H, W), or of noise.
    """
    torch.manual_seed(0)
    model = timm.create_model(NAME, num_classes=0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over the batches that follow: of one
            module.reset_running_stats()
    for block in (block for stage in model.blocks for block in stage):
        if block.has_skip:
            last = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)][-1]
            nn.init.constant_(last.weight, RESIDUAL)
    model.train()
    with torch.no_grad():
        model.forward_features(torch.randn(4, 3, SIZE, SIZE) if images is None else images)
    file = folder / "effnetv2m.safetensors"
    save_file(model.state_dict(), file)
    return file
