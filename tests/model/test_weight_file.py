"""Files of weights as their authors publish them."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from oadls.errors import UserError
from oadls.model.backbone import Backbone
from oadls.model.weights import create

TINY = "test_vit"  # timm's own for tests: 10 × 10 patches of 16 px, 64 channels
DINO = "vit_small_patch14_dinov2"  # of which DinoBloom-S is one


def pixels(size):
    return torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0))


def as_dinobloom(weights):
    """As DINOv2's training leaves it: a teacher of one backbone and two heads."""
    teacher = {f"backbone.{key}": value for key, value in weights.items()}
    teacher["backbone.mask_token"] = torch.zeros(1, weights["cls_token"].shape[-1])
    for head in ("dino_head", "ibot_head"):
        teacher[f"{head}.mlp.0.weight"] = torch.randn(4, 4)
        teacher[f"{head}.last_layer.weight_g"] = torch.ones(4, 1)
    return {"teacher": teacher}


@pytest.fixture(scope="module")
def tiny():
    """A vision transformer whose positions and classifier are not as they are drawn."""
    torch.manual_seed(0)
    model = timm.create_model(TINY, num_classes=3).eval()
    torch.nn.init.normal_(model.pos_embed)
    return model


WRAPPED = {
    "timm's own": lambda weights: weights,
    "of a training": lambda weights: {"state_dict": weights, "epoch": 3},
    "of another": lambda weights: {"model": weights, "optimizer": {"lr": 0.1}},
    "plain DINOv2": lambda weights: weights | {"mask_token": torch.zeros(1, 64)},
    "on several devices": lambda weights: {f"module.{k}": v for k, v in weights.items()},
    "DinoBloom": as_dinobloom,
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_weights_are_found_in_whatever_they_are_wrapped(tiny, tmp_path, kind):
    path = tmp_path / "weights.pth"
    torch.save(WRAPPED[kind](dict(tiny.state_dict())), path)
    loaded = create(name=TINY, weights=str(path), size=160).state_dict()
    assert set(tiny.state_dict()) - set(loaded) == {"head.weight", "head.bias"}
    assert all(torch.equal(value, tiny.state_dict()[key]) for key, value in loaded.items())


@torch.no_grad()
def test_dinobloom_gives_its_class_token(tmp_path):
    torch.manual_seed(1)
    published = timm.create_model(DINO, num_classes=0, img_size=224).eval()
    assert published.pos_embed.shape == (1, 257, 384)  # as in its file; timm's own has 37 × 37
    torch.nn.init.normal_(published.pos_embed, std=0.2)
    torch.save(as_dinobloom(published.state_dict()), tmp_path / "DinoBloom-S.pth")
    network = Backbone(name=DINO, weights=str(tmp_path / "DinoBloom-S.pth"), size=224)
    wanted = published.forward_features((pixels(224) - 0.5) / 0.5)[:, 0]  # (B, 384)
    assert network.channels == (384,)
    assert network.pretrained
    torch.testing.assert_close(network(pixels(224))[0].flatten(1), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [64, 320])
def test_positions_are_interpolated_to_another_size(tiny, tmp_path, size):
    torch.save(as_dinobloom(tiny.state_dict()), tmp_path / "weights.pth")
    model = create(name=TINY, weights=str(tmp_path / "weights.pth"), size=size)
    side = size // 16
    assert model.pos_embed.shape == (1, 1 + side * side, 64)
    before, after = (m.pos_embed[0].detach().numpy() for m in (tiny, model))
    np.testing.assert_array_equal(after[0], before[0])  # of the class token
    for channel in range(0, 64, 16):
        plane = Image.fromarray(before[1:, channel].reshape(10, 10))
        wanted = np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(after[1:, channel].reshape(side, side), wanted, atol=1e-4)


class Trojan:
    """An object whose unpickling would run code."""

    def __reduce__(self):
        return (print, ("it ran",))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ({"teacher": Trojan()}, "not a file of weights alone"),
        ([torch.zeros(2)], "must hold tensors by name"),
        ({"teacher": {"epoch": 3}}, "must hold tensors by name, it holds int"),
        ({}, "it holds nothing"),
        ({"teacher": {"backbone.conv.weight": torch.zeros(2)}}, f"do not fit {TINY}"),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path, capsys, content, rule):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=rule):
        create(name=TINY, weights=str(path), size=32)
    assert "it ran" not in capsys.readouterr().out
