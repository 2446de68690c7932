import torch

from oadls.model.probe import LinearProbe


def test_probe_is_a_linear_layer_on_the_standardised_mean_of_the_coarsest_map():
    head = LinearProbe(channels=[4, 6], sizes=[(8, 8), (3, 3)], classes=2)
    torch.nn.init.normal_(head.classifier.weight)
    maps = torch.randn(5, 4, 8, 8), torch.randn(5, 6, 3, 3)
    mean = maps[1].mean((2, 3))
    standard = (mean - mean.mean(0)) / (mean.var(0, unbiased=False) + 1e-5).sqrt()
    expected = standard @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head(maps), expected)


def test_a_cell_alone_is_standardised_by_what_was_seen_in_training():
    head = LinearProbe(channels=[6], sizes=[(3, 3)], classes=2)
    torch.nn.init.normal_(head.classifier.weight)
    seen = 3 + 2 * torch.randn(64, 6, 3, 3)
    for _ in range(200):
        head((seen,))
    head.eval()
    mean = seen.mean((2, 3))
    standard = (mean[:1] - mean.mean(0)) / mean.std(0)
    expected = standard @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head((seen[:1],)), expected, rtol=1e-3, atol=1e-3)
