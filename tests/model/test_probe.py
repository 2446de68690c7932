import pytest
import torch

from oadls.errors import UserError
from oadls.model.probe import CellProbe, LinearProbe


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


def cell(rows: slice) -> torch.Tensor:
    """The cover of a cell that fills some rows of a 16 × 16 window."""
    cover = torch.zeros(1, 1, 16, 16)
    cover[:, :, rows] = 1
    return cover


def test_cell_probe_reads_the_size_and_the_spread_inside_the_cell():
    torch.manual_seed(0)
    head = CellProbe(channels=[1, 3], sizes=[(16, 16), (8, 8)], classes=2, size_scale=2.0)
    torch.nn.init.normal_(head.classifier.weight)
    cover = torch.cat([cell(slice(0, 4)), cell(slice(0, 8)), cell(slice(4, 12))])
    features = torch.randn(3, 3, 8, 8)
    inside = [slice(0, 2), slice(0, 4), slice(2, 6)]
    spread = torch.stack(
        [features[b, :, rows].flatten(1).std(1, unbiased=False) for b, rows in enumerate(inside)]
    )
    values = torch.cat([torch.tensor([0.25, 0.5, 0.5])[:, None].log(), spread], dim=1)
    values = (values - values.mean(0)) / (values.var(0, unbiased=False) + 1e-5).sqrt()
    expected = (values * torch.tensor([2.0, 1, 1, 1])) @ head.classifier.weight.T
    torch.testing.assert_close(head((cover, features)), expected, rtol=1e-4, atol=1e-4)


def test_cell_probe_is_blind_to_what_is_outside_the_cell():
    head = CellProbe(channels=[1, 3], sizes=[(16, 16), (8, 8)], classes=2).eval()
    torch.nn.init.normal_(head.classifier.weight)
    cover, features = cell(slice(0, 8)), torch.randn(1, 3, 8, 8)
    other = features.clone()
    other[:, :, 4:] = 100
    torch.testing.assert_close(head((cover, features)), head((cover, other)))


def test_an_empty_window_has_finite_logits_and_gradients():
    head = CellProbe(channels=[1, 3], sizes=[(16, 16), (8, 8)], classes=2).eval()
    torch.nn.init.normal_(head.classifier.weight)
    features = torch.randn(1, 3, 8, 8, requires_grad=True)
    logits = head((torch.zeros(1, 1, 16, 16), features))
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(features.grad).all()


def test_cell_probe_asks_for_the_cover():
    with pytest.raises(UserError, match="cover and one piece"):
        CellProbe(channels=[24, 88], sizes=[(40, 40), (10, 10)], classes=2)
