"""Saliency is what its equations say, and falls where the network looks."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from oadls.explain import attends_places, attention_maps, grad_cam, share_inside
from oadls.model.acrnn import ACRNN
from oadls.model.planes import ProjectedPlane, PyramidPlane
from oadls.model.probe import CellProbe, LinearProbe


class Network(nn.Module):
    """A head without a backbone: the maps are the trunk's."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head.eval()
        self.backbone = nn.Module()
        self.backbone.tail = lambda maps: maps
        self.backbone.cover = False


def maps(*shapes: tuple[int, int, int]) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, *shape, generator=generator) for shape in shapes)


def test_grad_cam_of_a_linear_head_is_its_weighted_sum() -> None:
    head = LinearProbe(channels=[6], sizes=[(5, 5)], classes=3)
    torch.manual_seed(1)
    nn.init.normal_(head.classifier.weight)
    (features,) = maps((6, 5, 5))
    network = Network(head)
    found = grad_cam(network, (features,), side=5)
    with torch.no_grad():
        predicted = network.head((features,)).argmax(dim=1)
        scale = 1 / torch.sqrt(head.standardise.running_var + head.standardise.eps)
    for image in range(2):
        weights = (
            head.classifier.weight[predicted[image]] * scale / 25
        ).detach()  # of each channel
        expected = torch.einsum("c,chw->hw", weights, features[image]).clamp_min(0)
        np.testing.assert_allclose(found[image], expected.numpy(), atol=1e-6)


def test_a_head_that_reads_a_spread_is_explained_where_it_varies() -> None:
    head = CellProbe(channels=[1, 2], sizes=[(16, 16), (8, 8)], classes=2)
    nn.init.ones_(head.classifier.weight)
    with torch.no_grad():
        head.classifier.weight[0] = -1.0
    features = torch.zeros(1, 2, 8, 8)
    features[:, :, 3, 3] = 4  # the only place that differs
    network = Network(head)
    network.backbone.cover = True
    cam = grad_cam(network, (torch.ones(1, 1, 16, 16), features), side=8)[0]
    assert np.unravel_index(cam.argmax(), cam.shape) == (3, 3)
    assert cam[3, 3] > 0.9 * cam.sum()


def test_a_finer_picture_holds_the_same_amount_of_saliency() -> None:
    head = LinearProbe(channels=[6], sizes=[(4, 4)], classes=2)
    nn.init.normal_(head.classifier.weight)
    trunk = maps((6, 4, 4))
    coarse, fine = (grad_cam(Network(head), trunk, side=side) for side in (4, 32))
    np.testing.assert_allclose(fine.sum(axis=(1, 2)), coarse.sum(axis=(1, 2)), rtol=0.15)


def test_saliency_lies_where_the_only_evidence_is() -> None:
    head = LinearProbe(channels=[3], sizes=[(8, 8)], classes=2)
    with torch.no_grad():
        head.classifier.weight[1] = 1.0
    features = torch.zeros(1, 3, 8, 8)
    features[:, :, 2:5, 3:6] = 5
    mask = np.zeros((64, 64), np.uint8)
    mask[12:44, 20:52] = 255  # the evidence with half a position round it
    cam = grad_cam(Network(head), (features,), side=64)[0]
    assert share_inside(cam, mask) > 0.99
    assert share_inside(cam, 255 - mask) < 0.01


def test_share_inside_of_a_map_that_knows_nothing_is_the_area_of_the_cell() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[:3] = 128
    assert share_inside(np.ones((10, 10)), mask) == pytest.approx(0.3)
    assert np.isnan(share_inside(np.zeros((10, 10)), mask))


def acrnn(plane: partial, **options: bool) -> Network:
    torch.manual_seed(0)
    shapes = {"channels": [8, 16], "sizes": [(20, 20), (10, 10)]}
    return Network(ACRNN(**shapes, classes=2, plane=plane, **options))


def test_attention_of_reading_f_is_a_map_over_the_picture() -> None:
    network = acrnn(partial(PyramidPlane, width=4, side=96))
    trunk = maps((8, 20, 20), (16, 10, 10))
    assert attends_places(network)
    found = attention_maps(network, trunk, side=30)
    assert found.shape == (2, 30, 30)
    with torch.no_grad():
        _, weights = network.head(trunk, return_attention=True)  # (B, 2, T, P)
    grid = weights.mean(dim=1).numpy()
    corner = found[0, 0, 0], found[0, -1, 0], found[0, 0, -1]
    expected = grid[0, 0, 0], grid[0, 0, -1], grid[0, -1, 0]  # rows are p, columns are t
    np.testing.assert_allclose(corner, expected, atol=1e-6)


def test_other_readings_and_heads_have_no_map() -> None:
    trunk = maps((8, 20, 20), (16, 10, 10))
    assert attention_maps(acrnn(partial(ProjectedPlane, bands=64)), trunk, side=30) is None
    plain = acrnn(partial(PyramidPlane, width=4, side=96), attention=False)
    assert attention_maps(plain, trunk, side=30) is None
    assert grad_cam(plain, trunk, side=30).shape == (2, 30, 30)
