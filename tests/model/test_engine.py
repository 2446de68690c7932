"""ONNX Runtime gives the maps that torch gives."""

import numpy as np
import pytest
import torch
from torch import nn

from oadls.errors import UserError
from oadls.model.backbone import Backbone
from oadls.model.engine import trunk_on, with_onnxruntime, with_torch

SIZE = 64


def backbone(**settings):
    defaults = {"name": "tinynet_e", "weights": "random", "size": SIZE, "taps": ["cover", 2, -1]}
    return Backbone(**{**defaults, **settings})


def pictures(number=3, size=SIZE):
    drawn = np.random.default_rng(0).integers(0, 256, (number, size, size, 3), dtype=np.uint8)
    drawn[0, :, :20] = 0  # a cell that was cut out on black
    return drawn


def statistics_as_after_training(model):
    """Batch norms that do something."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"train_last": 2},  # the map at the cut comes last
        {"name": "tf_efficientnetv2_b0", "taps": [1, 3, -1]},  # padded as TensorFlow pads
        {"name": "resnet18", "taps": [-1]},
        {"mean": (0.2, 0.5, 0.7), "std": (0.1, 0.3, 0.2), "channels_last": False},
    ],
)
def test_onnxruntime_gives_the_maps_of_torch(settings):
    network = backbone(**settings)
    compare(network)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg16", 32),
        ("densenet121", 32),
        ("mobilenetv2_100", 32),
        ("inception_v3", 75),
        ("vit_small_patch14_dinov2", 28),
        ("oadls_cnn", 32),
        ("oadls_vgg16_bn_eca", 32),
    ],
)
def test_onnxruntime_gives_the_maps_of_torch_for_the_rows_of_table_3(name, size):
    compare(backbone(name=name, size=size, taps=[-1]))


def compare(network):
    statistics_as_after_training(network.frozen)
    expected = with_torch(network)(pictures(size=network.size))
    found = with_onnxruntime(network)(pictures(size=network.size))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_maps_of_a_picture_do_not_depend_on_its_batch():
    run = with_onnxruntime(backbone())
    for together, alone in zip(run(pictures()), run(pictures()[1:2]), strict=True):
        np.testing.assert_array_equal(together[1:2], alone)


@pytest.mark.parametrize("training", [True, False])
def test_a_backbone_stays_as_it_is(training):
    network = backbone(train_last=1).train(training)
    with trunk_on("cpu", network) as run:
        run(pictures())
    assert network.training == network.trained.training == training
    assert not network.frozen.training
    assert not next(network.frozen.parameters()).requires_grad


def test_a_backbone_goes_to_the_accelerator_and_back(monkeypatch):
    network, places = backbone(), []
    monkeypatch.setattr(network, "to", lambda device: places.append(str(device)))
    with trunk_on("cuda", network) as run:
        assert places == ["cuda"]
        assert [m.shape[0] for m in run(pictures())] == [3, 3, 3]
    assert places == ["cuda", "cpu"]


def test_a_model_that_cannot_be_exported_is_named(monkeypatch):
    network = backbone()
    monkeypatch.setattr(network, "trunk", lambda images: torch.linalg.qr(images.float()))
    with pytest.raises(UserError, match="tinynet_e cannot be exported to ONNX"):
        with_onnxruntime(network)
