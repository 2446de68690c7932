import copy

import pytest
import torch
from torch import nn

from oadls.errors import UserError
from oadls.model.rmsprop import RMSProp
from tests.oracles.rmsprop import rmsprop

SETTINGS = [
    {},
    {"momentum": 0.9},
    {"centered": True},
    {"weight_decay": 2e-2},
    {"momentum": 0.9, "centered": True, "weight_decay": 2e-2},
]


def walk(optimizer, parameters, gradients):
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()


def draw(steps, *, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 2), (4,)]
    make = lambda: [torch.randn(s, generator=generator, dtype=dtype) for s in shapes]  # noqa: E731
    return [nn.Parameter(value) for value in make()], [make() for _ in range(steps)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_step_is_equations_7_to_9(settings):
    parameters, gradients = draw(5)
    before = copy.deepcopy(parameters)
    walk(RMSProp(parameters, lr=1e-2, rho=0.9, delta=1e-4, **settings), parameters, gradients)
    for which, parameter in enumerate(parameters):
        for place in range(parameter.numel()):
            expected = rmsprop(
                before[which].flatten()[place].item(),
                [step[which].flatten()[place].item() for step in gradients],
                lr=1e-2,
                rho=0.9,
                delta=1e-4,
                **settings,
            )
            assert parameter.flatten()[place].item() == pytest.approx(expected, abs=1e-13)


def test_first_step_has_length_lr_over_root_of_one_minus_rho():
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    gradient = torch.tensor([5.0], dtype=torch.float64)
    walk(RMSProp([parameter], lr=1e-3, rho=0.9, delta=1e-16), [parameter], [[gradient]])
    assert parameter.item() == pytest.approx(-1e-3 / 0.1**0.5, rel=1e-9)


@pytest.mark.parametrize("settings", [s for s in SETTINGS if "momentum" not in s])
def test_four_steps_differ_from_torch_by_the_place_of_delta_alone(settings):
    ours, gradients = draw(4, dtype=torch.float32)
    theirs = copy.deepcopy(ours)
    walk(RMSProp(ours, lr=1e-3, rho=0.9, delta=1e-8, **settings), ours, gradients)
    reference = torch.optim.RMSprop(theirs, lr=1e-3, alpha=0.9, eps=1e-4, **settings)
    walk(reference, theirs, gradients)
    difference = max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))
    assert 2e-7 < difference < 3e-5


def test_torch_is_the_same_when_delta_vanishes():
    ours, gradients = draw(4)
    theirs = copy.deepcopy(ours)
    walk(RMSProp(ours, lr=1e-3, rho=0.9, delta=1e-30), ours, gradients)
    walk(torch.optim.RMSprop(theirs, lr=1e-3, alpha=0.9, eps=1e-30), theirs, gradients)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_constant_gradient_never_makes_the_centered_form_nan():
    parameter = nn.Parameter(torch.ones(64))
    gradients = [[torch.linspace(0.1, 1e3, 64)]] * 300
    walk(RMSProp([parameter], lr=1e-6, rho=0.9, delta=1e-8, centered=True), [parameter], gradients)
    assert torch.isfinite(parameter).all()


def test_a_resumed_run_takes_the_same_steps():
    settings = {"lr": 1e-2, "momentum": 0.9, "centered": True}
    unbroken, gradients = draw(4)
    resumed = copy.deepcopy(unbroken)
    walk(RMSProp(unbroken, **settings), unbroken, gradients)
    first = RMSProp(resumed, **settings)
    walk(first, resumed, gradients[:2])
    second = RMSProp(resumed, **settings)
    second.load_state_dict(first.state_dict())
    walk(second, resumed, gradients[2:])
    assert all(torch.equal(a, b) for a, b in zip(unbroken, resumed, strict=True))


def test_parameters_without_gradient_stay():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = RMSProp([used, unused], weight_decay=0.1)
    used.grad = torch.ones(2)
    optimizer.step()
    assert not torch.equal(used, torch.ones(2))
    assert torch.equal(unused, torch.ones(2))


def test_closure_is_evaluated_with_gradients():
    parameter = nn.Parameter(torch.tensor([2.0]))
    optimizer = RMSProp([parameter], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert parameter.item() < 2.0


@pytest.mark.parametrize("setting", [{"lr": -1.0}, {"rho": 1.0}, {"delta": 0.0}, {"momentum": -1}])
def test_impossible_settings_are_refused_by_name(setting):
    with pytest.raises(UserError, match="rmsprop"):
        RMSProp([nn.Parameter(torch.ones(1))], **setting)
