from functools import partial

import numpy as np
import pytest
import torch

from oadls.errors import UserError
from oadls.model.acrnn import ACRNN, AttentionGRU
from oadls.model.planes import ProjectedPlane, PyramidPlane, SerpentinePlane
from tests.oracles.attention import attend
from tests.oracles.gru import gru_step

V2_M = {"channels": (48, 80, 176, 1280), "sizes": ((96, 96), (48, 48), (24, 24), (12, 12))}
LITE2 = {"channels": (24, 48, 120, 1280), "sizes": ((65, 65), (33, 33), (17, 17), (9, 9))}


def head(plane=ProjectedPlane, *, channels=(64,), sizes=((9, 9),), classes=2, **options):
    torch.manual_seed(0)
    return ACRNN(channels=channels, sizes=sizes, classes=classes, plane=plane, **options)


def maps(*, channels=(64,), sizes=((9, 9),), batch=2):
    generator = torch.Generator().manual_seed(1)
    return tuple(
        torch.randn(batch, c, *s, generator=generator) for c, s in zip(channels, sizes, strict=True)
    )


def cell(*, channels=5, units=4, **options):
    torch.manual_seed(0)
    return AttentionGRU(channels, units, **options).double()


def regions(*, batch=2, times=3, positions=6, channels=5):
    generator = torch.Generator().manual_seed(2)
    shape = (batch, times, positions, channels)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def array(tensor):
    return tensor.detach().numpy()


def test_attention_gru_is_equations_4_to_6_position_by_position():
    layer, delta = cell(), regions()
    states, weights = layer(delta)
    for image in range(len(delta)):
        expected_states, expected_weights = attend(
            array(delta[image]),
            w_delta=array(layer.w_delta.weight.T),
            w_h=array(layer.w_h.weight.T),
            w_a=array(layer.w_a.weight.T),
            w_start=array(layer.start.weight),
            b_start=array(layer.start.bias),
            gru={key: array(value) for key, value in layer.gru.named_parameters()},
        )
        np.testing.assert_allclose(array(states[image]), expected_states, atol=1e-12)
        np.testing.assert_allclose(array(weights[image]), expected_weights, atol=1e-12)


def test_l10_is_a_gru_forward_and_backward():
    layer = head().l10.double()
    x = torch.randn(1, 3, 512, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out, _ = layer(x)  # (1, 3, 512)
    for suffix, order, part in (
        ("", [0, 1, 2], slice(256)),
        ("_reverse", [2, 1, 0], slice(256, 512)),
    ):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = {name: array(getattr(layer, f"{name}_l0{suffix}")) for name in names}
        state = np.zeros(256)
        for t in order:
            state = gru_step(array(x[0, t]), state, **weights)
            np.testing.assert_allclose(array(out[0, t, part]), state, atol=1e-12)


def test_attention_sums_to_one_over_the_positions():
    _, weights = head().eval()(maps(), return_attention=True)  # (B, 2, T, P)
    assert weights.shape == (2, 2, 4, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 4))


def test_attention_is_uniform_when_w_a_is_zero():
    layer = cell()
    layer.w_a.weight.data.zero_()
    _, weights = layer(regions(positions=6))
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 6))


def test_permuting_positions_leaves_the_states_and_moves_the_weights():
    layer, delta = cell(), regions(positions=6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    states, weights = layer(delta)
    moved_states, moved_weights = layer(delta[:, :, order])
    torch.testing.assert_close(moved_states, states)
    torch.testing.assert_close(moved_weights, weights[:, :, order])


def test_attention_off_is_attention_with_equal_weights():
    delta, layer, plain = regions(), cell(), cell(attention=False)
    layer.w_a.weight.data.zero_()
    plain.load_state_dict(layer.state_dict(), strict=False)
    for with_attention, without in zip(layer(delta), plain(delta), strict=True):
        torch.testing.assert_close(with_attention, without)


def test_both_directions_attend_to_the_same_region_at_the_same_index():
    network = head().eval()
    network.l9_backward.load_state_dict(network.l9_forward.state_dict())
    x = torch.randn(1, 4, 4, 256, generator=torch.Generator().manual_seed(0))  # (B, T, P, C)
    _, weights = network._recur(x)
    _, mirrored = network._recur(x.flip(1))
    torch.testing.assert_close(weights[:, 0], mirrored[:, 1].flip(1))
    torch.testing.assert_close(weights[:, 1], mirrored[:, 0].flip(1))


@pytest.mark.parametrize(
    ("plane", "count", "grid"),
    [
        (SerpentinePlane, 3_411_298, (40, 8)),
        (ProjectedPlane, 3_411_298 + 1280 * 128 + 2 * 128, (4, 8)),
        (PyramidPlane, 3_523_202, (3, 5)),
    ],
)
def test_the_network_on_efficientnetv2_m_has_the_published_size(plane, count, grid):
    network = head(plane, **V2_M)
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.grid == grid


@pytest.mark.parametrize(("plane", "grid"), [(ProjectedPlane, (4, 4)), (PyramidPlane, (3, 5))])
def test_every_reading_runs_on_the_small_backbone(plane, grid):
    logits, weights = head(plane, **LITE2, classes=3).eval()(maps(**LITE2), return_attention=True)
    assert logits.shape == (2, 3)
    assert weights.shape == (2, 2, grid[1], grid[0])


def test_the_literal_reading_runs():
    network = head(SerpentinePlane, channels=(96,), sizes=((5, 5),))
    logits, weights = network(maps(channels=(96,), sizes=((5, 5),)), return_attention=True)
    assert logits.shape == (2, 2)
    assert weights.shape == (2, 2, 1, 3)


@pytest.mark.parametrize(
    "options", [{}, {"attention": False}, {"attention": False, "recurrent": False}]
)
def test_gradient_reaches_every_parameter(options):
    network = head(**options)
    network(maps()).pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_ablations_remove_what_they_name():
    full, even, flat = head(), head(attention=False), head(attention=False, recurrent=False)
    removed = {key.split(".")[-2] for key in set(full.state_dict()) - set(even.state_dict())}
    assert removed == {"w_delta", "w_h", "w_a"}
    assert not any(key.startswith(("l9", "l10")) for key in flat.state_dict())
    assert flat(maps()).shape == (2, 2)


def test_attention_without_a_recurrent_state_is_refused():
    with pytest.raises(UserError, match="attention reads the state"):
        head(recurrent=False)


def test_a_plane_smaller_than_the_pools_is_refused():
    with pytest.raises(UserError, match="32 frequencies × 18 times, it is 128 × 16"):
        head(sizes=((4, 4),))


def test_outputs_are_logits_in_training_and_in_evaluation():
    network = head(dropout=0.0)
    for module in network.modules():  # so that both modes see the same statistics
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    torch.testing.assert_close(network.train()(maps()), network.eval()(maps()))


def test_pooling_before_relu_gives_what_relu_before_pooling_gives():
    x = torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pool = partial(torch.nn.functional.max_pool2d, kernel_size=(4, 3))
    assert torch.equal(pool(x.relu()), pool(x).relu())
    first, second = (
        torch.autograd.grad(y.pow(2).sum(), x)[0] for y in (pool(x.relu()), pool(x).relu())
    )
    assert torch.equal(first, second)


def test_bfloat16_gives_finite_float32_logits():
    network = head().eval()
    expected = network(maps())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(maps())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=0.02, rtol=0.1)
