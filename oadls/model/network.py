"""A backbone and a head: images to logits."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from oadls.model.backbone import Backbone


class Network(nn.Module):
    """The one path for frozen and fine-tuned backbones.

    head : builds a module from `channels`, `sizes` and `classes` that takes the tapped maps
    """

    def __init__(self, *, backbone: Backbone, head: Callable[..., nn.Module], classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head(channels=backbone.channels, sizes=backbone.sizes, classes=classes)
        self.head.to(memory_format=backbone.memory_format)
        self.classes = classes

    def forward(self, images: Tensor, **options: Any) -> Any:
        """Images (B, 3, size, size), uint8 or in [0, 1], to logits (B, classes)."""
        return self.classify(self.backbone.trunk(images), **options)

    def classify(self, trunk_maps: tuple[Tensor, ...], **options: Any) -> Any:
        """What `backbone.trunk` returned, perhaps from a cache, to logits (B, classes).

        options : of the head, such as return_attention=True of the ACRNN
        """
        return self.head(self.backbone.tail(trunk_maps), **options)


def parameter_groups(
    network: nn.Module, *, lr: float, weight_decay: float, backbone_lr_factor: float = 1.0
) -> list[dict[str, Any]]:
    """The trained parameters, grouped for an optimizer.

    Decay is for weights of convolutions, linear layers and GRUs; norms and biases, which are
    vectors, go without. The backbone learns at lr · backbone_lr_factor; at 0 it is left out.
    """
    in_backbone = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, Backbone)
        for parameter in module.parameters()
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            key = (id(parameter) in in_backbone, parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * backbone_lr_factor if backbone else lr,
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (backbone, decays), parameters in groups.items()
        if backbone_lr_factor or not backbone
    ]
