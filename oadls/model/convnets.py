"""Two convolutional networks of the comparison that timm lacks, registered as timm models."""

from collections import OrderedDict
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import ClassifierHead, EcaModule
from timm.models import VGG, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vgg import cfgs as layers
from torch import Tensor, nn

COMMON = {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "crop_pct": 0.875,
    "interpolation": "bilinear",
    "first_conv": "features.0",
    "classifier": "head.fc",
}
IMAGENET = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
CENTRED = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # of what was never pretrained

default_cfgs = generate_default_cfgs(
    {
        "oadls_cnn": {**COMMON, **CENTRED, "pool_size": (14, 14)},
        # the weights of the network without attention
        "oadls_vgg16_bn_eca.tv_in1k": {**COMMON, **IMAGENET, "hf_hub_id": "timm/vgg16_bn.tv_in1k"},
    }
)


class ConvNet(nn.Module):
    """Blocks of convolution 3×3, batch norm, ReLU and max pool (Ahmed et al. 2019).

    widths : channels of each block; each halves height and width
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, widths[-1]
        self.head_hidden_size = widths[-1]
        pairs = zip((in_chans, *widths), widths, strict=False)
        self.features = nn.Sequential(*(layer for pair in pairs for layer in _block(*pair)))
        self.head = ClassifierHead(widths[-1], num_classes, global_pool, drop_rate)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the last map (B, widths[-1], H // 16, W // 16)."""
        return self.features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map to logits (B, num_classes), or to its mean (B, widths[-1])."""
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    """(B, inputs, H, W) to (B, outputs, H // 2, W // 2)."""
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)  # the norm has a bias
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True), nn.MaxPool2d(2)]


class Vgg16BnEca(VGG):
    """VGG16 with batch norm, efficient channel attention after each pool (Zakir Ullah et al. 2021).

    The fully connected layers of VGG, nine tenths of its parameters, give way to a mean. The
    attention stands in the place of the pool that it follows, so that the convolutions keep the
    keys that they have in vgg16_bn.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__(
            layers["vgg16"],
            num_classes=0,
            in_chans=in_chans,
            norm_layer=nn.BatchNorm2d,
            mlp_ratio=1 / 4096,  # a single unit in what is dropped below
        )
        self.pre_logits = nn.Identity()  # type: ignore[assignment]
        self.num_classes, self.head_hidden_size = num_classes, self.num_features
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        channels = in_chans
        for name, layer in list(self.features.named_children()):
            if isinstance(layer, nn.Conv2d):
                channels = layer.out_channels
            elif isinstance(layer, nn.MaxPool2d):
                attention = EcaModule(channels)
                block_end = nn.Sequential(OrderedDict(pool=layer, eca=attention))
                setattr(self.features, name, block_end)


def checkpoint_filter_fn(weights: dict[str, Tensor], model: Vgg16BnEca) -> dict[str, Tensor]:
    """Weights of vgg16_bn as those of the network with attention, which stays as it was drawn."""
    drawn = {key: value for key, value in model.state_dict().items() if ".eca." in key}
    left = ("pre_logits.", "classifier.")  # timm's and torchvision's fully connected layers
    return drawn | {key: value for key, value in weights.items() if not key.startswith(left)}


@register_model
def oadls_cnn(pretrained: bool = False, **settings: Any) -> ConvNet:
    """CNN Model of Table 3."""
    return build_model_with_cfg(ConvNet, "oadls_cnn", pretrained, **settings)


@register_model
def oadls_vgg16_bn_eca(pretrained: bool = False, **settings: Any) -> Vgg16BnEca:
    """CNN-ECA Module of Table 3."""
    return build_model_with_cfg(
        Vgg16BnEca,
        "oadls_vgg16_bn_eca",
        pretrained,
        pretrained_strict=False,
        pretrained_filter_fn=checkpoint_filter_fn,
        **settings,
    )
