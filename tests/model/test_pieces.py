"""Any timm model is a backbone: its maps are those of torchvision, or of timm itself."""

from itertools import pairwise

import pytest
import timm
import torch
from torch import nn
from torchvision.models import DenseNet, Inception3
from torchvision.models.vgg import cfgs, make_layers

from oadls.errors import UserError
from oadls.model.backbone import Backbone
from oadls.model.whole_batch import see_whole_batch
from tests.model.networks import pixels, with_statistics


class Vgg16(nn.Module):
    """torchvision's, its fully connected layers as short as the file needs them."""

    def __init__(self):
        super().__init__()
        self.features = make_layers(cfgs["D"])
        self.classifier = nn.ModuleList([nn.Linear(3, 4)])

    def forward(self, x):
        return self.features(x)


class Inception(Inception3):
    def __init__(self):
        super().__init__(init_weights=False)  # with its auxiliary classifier

    def forward(self, x):
        maps = []
        self.Mixed_7c.register_forward_hook(lambda module, given, found: maps.append(found))
        super().forward(x)
        return maps[0]


class Dense121(DenseNet):
    def forward(self, x):
        return self.features(x).relu()


@pytest.mark.parametrize(
    ("name", "theirs", "size"),
    [("vgg16", Vgg16, 32), ("densenet121", Dense121, 32), ("inception_v3", Inception, 75)],
)
def test_maps_are_those_of_torchvision_with_the_weights_of_its_file(tmp_path, name, theirs, size):
    torch.manual_seed(0)
    model = with_statistics(theirs())
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    network = Backbone(name=name, weights=str(tmp_path / "weights.pth"), size=size)
    with torch.no_grad():
        wanted = model((pixels(size) - 0.5) / 0.5)
    (found,) = network(pixels(size))
    assert network.channels == (wanted.shape[1],)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * wanted.abs().max().item())


@pytest.mark.parametrize(
    ("name", "size", "train_last"),
    [
        ("test_vit", 32, 0),  # timm's own for tests: its class token
        ("test_vit", 64, "all"),
        ("test_vit3", 64, 0),  # pools by attention
        ("test_vit_relpos", 64, "all"),  # by a mean, and then has a norm
        ("test_mambaout", 64, 0),  # its maps are (B, H, W, C)
    ],
)
def test_a_transformer_gives_what_it_pools_from_its_tokens(name, size, train_last):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = {"img_size": size} if "vit" in name else {}
        model = timm.create_model(name, num_classes=0, **own).eval()
    network = Backbone(name=name, weights="random", size=size, train_last=train_last).eval()
    with torch.no_grad():
        wanted = model((pixels(size) - 0.5) / 0.5)  # (B, C)
    assert network.channels == (wanted.shape[1],)
    assert network.sizes == ((1, 1),)
    torch.testing.assert_close(network(pixels(size))[0].flatten(1), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "mobilenetv2_100.ra_in1k"])
def test_mobilenetv2_has_the_nine_pieces_of_an_efficientnet(name):
    network = Backbone(name=name, weights="random", size=64, taps=[0, 3, -1])
    assert network.channels == (32, 32, 1280)
    assert network.sizes == ((32, 32), (8, 8), (2, 2))
    assert len(network.frozen) == 9


def test_vgg16_is_its_convolutions_alone():
    network = Backbone(name="vgg16", weights="random", size=32, train_last="all")
    widths = [3, *(width for width in cfgs["D"] if width != "M")]
    by_hand = sum((9 * a + 1) * b for a, b in pairwise(widths))
    assert sum(p.numel() for p in network.parameters()) == by_hand == 14_714_688
    weights_of = {key: v for key, v in network.state_dict().items() if key != "_extra_state"}
    assert sum(v.numel() for v in weights_of.values()) == by_hand


@pytest.mark.parametrize("name", ["vgg16", "test_vit", "mobilenetv3_small_050", "test_convnext"])
def test_every_trained_parameter_gets_a_gradient(name):
    network = Backbone(name=name, weights="random", size=32, train_last="all").train()
    network(pixels(32))[0].square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "size", "rule"),
    [
        ("vgg16", 16, "vgg16 cannot take images of 16 px"),
        (
            "vit_tiny_patch16_224",
            40,
            "multiple of 16, the patches of vit_tiny_patch16_224, it is 40",
        ),
    ],
)
def test_images_that_a_model_cannot_take_are_refused(name, size, rule):
    with pytest.raises(UserError, match=rule):
        Backbone(name=name, weights="random", size=size)


def test_a_batch_norm_that_cannot_see_the_whole_batch_is_refused():
    class Own(nn.BatchNorm2d):
        """One that does something else."""

    network = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(Own(3)))
    with pytest.raises(UserError, match=r"BatchNorm2d, BatchNormAct2d, 1\.0 is Own"):
        see_whole_batch(network)
