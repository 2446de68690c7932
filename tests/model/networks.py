"""What tests of networks give them: pixels, and batch norms that do something."""

import torch
from torch import nn


def pixels(size=32, *, batch=2):
    """(batch, 3, size, size) in [0, 1], the same every time."""
    return torch.rand((batch, 3, size, size), generator=torch.Generator().manual_seed(0))


def with_statistics(model):
    """The model in eval mode, its batch norms as if they had learned."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, std=0.1, generator=generator)
    return model.eval()
