import numpy as np
import torch

from oadls.model.fully_connected import FullyConnected


def head(**settings):
    torch.manual_seed(0)
    return FullyConnected(channels=[4, 6], sizes=[(8, 8), (3, 3)], classes=3, **settings)


def maps():
    return torch.randn(5, 4, 8, 8), torch.randn(5, 6, 3, 3)


def test_it_is_a_mean_a_hidden_layer_and_the_classes():
    network, given = head(hidden=7).eval(), maps()
    layers = (network.hidden, network.classifier)
    weights = [(p.weight.detach().numpy(), p.bias.detach().numpy()) for p in layers]
    (w1, b1), (w2, b2) = weights
    pooled = given[1].numpy().mean(axis=(2, 3))
    wanted = np.maximum(pooled @ w1.T + b1, 0) @ w2.T + b2
    np.testing.assert_allclose(network(given).detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_the_hidden_layer_has_128_units_unless_told():
    shapes = [tuple(p.shape) for p in head().parameters()]
    assert shapes == [(128, 6), (128,), (3, 128), (3,)]


def test_half_of_the_mean_is_dropped_in_training_and_none_after():
    network, given = head(), maps()
    assert not torch.equal(network(given), network(given))
    seen = []
    network.hidden.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    many = tuple(m.repeat(200, 1, 1, 1).abs() + 1 for m in given)
    network(many)
    assert abs((seen[0] == 0).float().mean() - 0.5) < 0.03
    network.eval()
    assert torch.equal(network(given), network(given))
