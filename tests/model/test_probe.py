import torch

from oadls.model.probe import LinearProbe


def test_probe_is_a_linear_layer_on_the_mean_of_the_coarsest_map():
    head = LinearProbe(channels=[4, 6], sizes=[(8, 8), (3, 3)], classes=2)
    maps = torch.randn(5, 4, 8, 8), torch.randn(5, 6, 3, 3)
    expected = maps[1].mean((2, 3)) @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head(maps), expected)
