"""The two networks that timm lacks, against torchvision's layers and the equations as loops."""

import math

import numpy as np
import pytest
import timm
import torch
from timm.layers import EcaModule
from torch import nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from oadls.model.backbone import Backbone
from oadls.model.convnets import oadls_cnn, oadls_vgg16_bn_eca
from tests.model.networks import pixels, with_statistics

KERNELS = {64: 3, 128: 5, 256: 5, 512: 5}  # channels to the kernel of Wang et al. 2020
POOLS = {6: 64, 13: 128, 23: 256, 33: 512, 43: 512}  # layers of VGG16 with batch norm


def attended(x, kernel):
    """Eqs 4-6 of Wang et al. 2020 as loops: (B, C, H, W) and (k,) weights to (B, C, H, W)."""
    batch, channels = x.shape[:2]
    out = np.empty_like(x)
    half = len(kernel) // 2
    for b in range(batch):
        mean = [x[b, c].mean() for c in range(channels)]
        for c in range(channels):
            near = range(c - half, c + half + 1)
            pairs = zip(near, kernel, strict=True)
            score = sum(weight * mean[i] for i, weight in pairs if 0 <= i < channels)
            out[b, c] = x[b, c] / (1 + math.exp(-score))
    return out


# CNN Model


def test_cnn_is_four_blocks_of_convolution_norm_relu_and_pool():
    model = with_statistics(oadls_cnn(num_classes=0))
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [c.out_channels for c in convolutions] == [32, 64, 128, 256]
    x = pixels()
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = F.unfold(x, 3, padding=1).transpose(1, 2) @ convolution.weight.flatten(1).T  # (B, P, C)
        x = (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt() * norm.weight + norm.bias
        side = math.isqrt(x.shape[1])
        x = x.clamp_min(0).transpose(1, 2).unflatten(2, (side // 2, 2, side // 2, 2))
        x = x.amax(dim=(3, 5))  # (B, C, side / 2, side / 2)
    torch.testing.assert_close(model.forward_features(pixels()), x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(pixels()), x.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_cnn_has_the_parameters_that_its_layers_need():
    by_hand = sum(9 * a * b + 2 * b for a, b in [(3, 32), (32, 64), (64, 128), (128, 256)])
    network = Backbone(name="oadls_cnn", weights="random", size=32, train_last="all")
    assert sum(p.numel() for p in network.parameters()) == by_hand == 388_896
    assert network.channels == (256,)
    assert network.sizes == ((2, 2),)


@pytest.mark.parametrize("name", ["oadls_cnn", "oadls_vgg16_bn_eca"])
def test_they_are_timm_models_with_a_classifier(name):
    model = timm.create_model(name, num_classes=5).eval()
    features = model.forward_features(pixels())
    assert model(pixels()).shape == (2, 5)
    torch.testing.assert_close(
        model(pixels()), model.get_classifier()(features.mean(dim=(2, 3))), rtol=1e-4, atol=1e-5
    )
    model.reset_classifier(0)
    assert model(pixels()).shape == (2, model.num_features)


# CNN-ECA Module


@pytest.mark.parametrize(("channels", "kernel"), KERNELS.items())
def test_the_kernel_of_the_attention_grows_with_the_channels(channels, kernel):
    size = math.log2(channels) / 2 + 1 / 2  # gamma 2, b 1
    assert kernel == min((k for k in (9, 7, 5, 3, 1)), key=lambda k: abs(k - size))
    assert EcaModule(channels).conv.weight.shape == (1, 1, kernel)


def test_each_block_ends_with_the_attention_of_timm():
    model = oadls_vgg16_bn_eca(num_classes=0)
    found = {name: m for name, m in model.named_modules() if isinstance(m, EcaModule)}
    assert list(found) == [f"features.{pool}.eca" for pool in POOLS]
    assert [type(model.features[pool].pool) for pool in POOLS] == [nn.MaxPool2d] * 5
    sizes = [attention.conv.kernel_size[0] for attention in found.values()]
    assert sizes == [KERNELS[channels] for channels in POOLS.values()]


def test_channel_weights_are_those_of_the_paper():
    model = oadls_vgg16_bn_eca(num_classes=0).eval()
    torch.manual_seed(0)
    for pool, channels in POOLS.items():
        x = torch.randn(2, channels, 3, 5)
        attention = model.features[pool].eca
        nn.init.normal_(attention.conv.weight, std=2)
        wanted = attended(x.double().numpy(), attention.conv.weight.flatten().tolist())
        torch.testing.assert_close(
            attention(x).double(), torch.from_numpy(wanted), rtol=1e-5, atol=1e-6
        )


@pytest.fixture(scope="module")
def torchvisions():
    """VGG16 with batch norm as torchvision builds it, its weights, and what its file also holds."""
    torch.manual_seed(2)
    features = with_statistics(make_layers(cfgs["D"], batch_norm=True))
    weights = {f"features.{key}": value for key, value in features.state_dict().items()}
    return features, weights | {"classifier.6.bias": torch.zeros(1000)}


@torch.no_grad()
def test_it_is_vgg16_with_attention_after_each_pool(torchvisions, tmp_path):
    features, weights = torchvisions
    torch.save(weights, tmp_path / "vgg16_bn.pth")
    network = Backbone(
        name="oadls_vgg16_bn_eca", weights=str(tmp_path / "vgg16_bn.pth"), size=32, seed=3
    )
    drawn = Backbone(name="oadls_vgg16_bn_eca", weights="random", size=32, seed=3)
    kernels = {pool: drawn.frozen[0].model.features[pool].eca.conv.weight for pool in POOLS}
    x = (pixels() - 0.5) / 0.5
    for index, layer in enumerate(features):
        x = layer(x)
        if index in POOLS:
            x = torch.from_numpy(attended(x.numpy(), kernels[index].flatten().tolist()))
    scale = x.abs().max().item()
    torch.testing.assert_close(network(pixels())[0], x, rtol=1e-4, atol=1e-5 * scale)


def test_weights_of_the_hub_leave_the_attention_as_it_was_drawn(torchvisions):
    models = []
    for given in ({}, {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": None}}):
        if given:
            given["pretrained_cfg_overlay"]["state_dict"] = dict(torchvisions[1])
        torch.manual_seed(4)
        models.append(timm.create_model("oadls_vgg16_bn_eca", num_classes=0, **given))
    drawn, filled = (model.state_dict() for model in models)
    for key, value in filled.items():
        wanted = drawn[key] if ".eca." in key else torchvisions[1][key]
        assert torch.equal(value, wanted), key


def test_the_hub_has_the_weights_without_attention():
    own = timm.get_pretrained_cfg("oadls_vgg16_bn_eca")
    theirs = timm.get_pretrained_cfg("vgg16_bn")
    assert own.hf_hub_id == theirs.hf_hub_id == "timm/vgg16_bn.tv_in1k"
    assert (own.mean, own.std, own.input_size) == (theirs.mean, theirs.std, theirs.input_size)
