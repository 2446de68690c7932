from functools import partial

import pytest
import torch

from oadls.model.acrnn import ACRNN
from oadls.model.backbone import Backbone
from oadls.model.network import Network, parameter_groups
from oadls.model.planes import ProjectedPlane, PyramidPlane
from oadls.model.probe import LinearProbe
from oadls.model.rmsprop import RMSProp

HEADS = {
    "probe": LinearProbe,
    "projected": partial(ACRNN, plane=ProjectedPlane),
    "pyramid": partial(ACRNN, plane=PyramidPlane),
}


def network(*, head="projected", train_last=1, size=160, classes=2):
    torch.manual_seed(0)
    taps = [2, 3, 5, -1] if head == "pyramid" else [-1]
    backbone = Backbone(
        name="tinynet_e", weights="random", size=size, taps=taps, train_last=train_last
    )
    return Network(backbone=backbone, head=HEADS[head], classes=classes)


def pixels(*, batch=4, size=160):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, size, size, generator=generator)


@pytest.mark.parametrize("head", HEADS)
def test_images_become_logits_by_way_of_the_trunk_or_in_one_go(head):
    model = network(head=head, classes=3).eval()
    logits = model(pixels())
    assert logits.shape == (4, 3)
    torch.testing.assert_close(model.classify(model.backbone.trunk(pixels())), logits)


def test_attention_comes_on_request():
    logits, weights = network().eval()(pixels(), return_attention=True)
    assert (logits.shape, weights.shape) == ((4, 2), (4, 2, 1, 4))


def test_a_few_steps_learn_to_tell_two_textures_apart():
    model = network(head="projected", train_last=1)
    label = torch.tensor([0, 1, 0, 1])
    images = torch.full((4, 3, 160, 160), 0.5)
    images[1::2, :, :, ::2] = 1.0
    optimizer = RMSProp(parameter_groups(model, lr=1e-3, weight_decay=0.0, backbone_lr_factor=0.1))
    trunk = model.backbone.trunk(images)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model.classify(trunk), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[1:]) < 0.5 * losses[0]


def test_decay_is_on_weights_and_not_on_norms_or_biases():
    model = network()
    groups = parameter_groups(model, lr=1e-3, weight_decay=2e-4, backbone_lr_factor=0.1)
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert (id(parameter) in decayed) == (parameter.ndim > 1), key
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(id(p) in decayed for m in norms for p in m.parameters())
    assert id(model.head.l10.weight_hh_l0_reverse) in decayed


def test_every_trained_parameter_is_in_one_group():
    model = network(train_last=2)
    groups = parameter_groups(model, lr=1e-3, weight_decay=2e-4, backbone_lr_factor=0.1)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_backbone_learns_at_its_own_rate():
    model = network()
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.0, backbone_lr_factor=0.01)
    tail = {id(p) for p in model.backbone.trained.parameters()}
    for group in groups:
        for parameter in group["params"]:
            assert group["lr"] == pytest.approx(1e-5 if id(parameter) in tail else 1e-3)


@pytest.mark.parametrize("settings", [{"backbone_lr_factor": 0.0}, {"train_last": 0}])
def test_a_backbone_that_does_not_learn_is_in_no_group(settings):
    model = network(train_last=settings.pop("train_last", 1))
    groups = parameter_groups(model, lr=1e-3, weight_decay=2e-4, **settings)
    listed = {id(p) for group in groups for p in group["params"]}
    assert listed == {id(p) for p in model.head.parameters()}
