"""The attention convolutional recurrent network (paper, section 3.4): layers l1 to l10."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from oadls.errors import UserError
from oadls.model.planes import Plane
from oadls.model.whole_batch import BatchNorm2d, Dropout

Maps = tuple[Tensor, ...]

LAYERS = (  # filters, receptive field, pool; frequency × time
    (32, (3, 5), (4, 3)),  # l1, l2
    (64, (3, 1), (4, 1)),  # l3, l4
    (128, (1, 5), (1, 3)),  # l5, l6
    (256, (3, 3), (2, 2)),  # l7, l8
)
UNITS = 256


class ACRNN(nn.Module):
    """Maps of a backbone to logits.

    plane     : builds the (frequency × time) plane from `channels` and `sizes` (see `planes`)
    attention : off weighs all positions of a region alike
    recurrent : off averages over the regions instead of l9 and l10
    dropout   : on the states of l9 and of l10
    raises UserError when the plane is smaller than the pools divide it
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        classes: int,
        plane: Callable[..., Plane],
        attention: bool = True,
        recurrent: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if attention and not recurrent:
            raise UserError("acrnn: attention reads the state of the Bi-GRU, recurrent is off")
        self.plane = plane(channels=channels, sizes=sizes)
        self.grid = _pooled(self.plane)  # (P, T): positions in a region, regions
        self.convolutions = nn.Sequential(*_convolutions(self.plane.channels))
        self.recurrent = recurrent
        if recurrent:
            self.l9_forward = AttentionGRU(LAYERS[-1][0], UNITS, attention=attention)
            self.l9_backward = AttentionGRU(LAYERS[-1][0], UNITS, attention=attention)
            self.l10 = nn.GRU(2 * UNITS, UNITS, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(2 * UNITS if recurrent else LAYERS[-1][0], classes)

    def forward(
        self, maps: Maps, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Maps, finest first, to logits (B, classes).

        return_attention : also λ (B, 2, T, P), forward and backward, each over regions in the
            plane's order; every (…, P) sums to 1
        """
        planes = self.convolutions(self.plane(maps))  # (B, C, P, T)
        regions = planes.permute(0, 3, 2, 1)  # (B, T, P, C)
        if self.recurrent:
            states, weights = self._recur(regions)  # (B, T, 2E), (B, 2, T, P)
        else:
            states = regions.mean(dim=2)  # (B, T, C)
            weights = regions.new_full((len(regions), 2, *regions.shape[1:3]), 1 / regions.shape[2])
        # the mean over T of the logits is the logits of the mean
        logits = self.classifier(self.dropout(states).mean(dim=1)).float()  # (B, classes)
        return (logits, weights) if return_attention else logits

    def _recur(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        ahead, weights_ahead = self.l9_forward(regions)
        back, weights_back = self.l9_backward(regions.flip(1))
        states = torch.cat([ahead, back.flip(1)], dim=-1)  # (B, T, 2E)
        weights = torch.stack([weights_ahead, weights_back.flip(1)], dim=1)  # (B, 2, T, P)
        states, _ = self.l10(self.dropout(states))  # (B, T, 2E)
        return states, weights


class AttentionGRU(nn.Module):
    """One direction of l9: a GRU that looks at each region through its last state (eqs 4–6)."""

    def __init__(self, channels: int, units: int, *, attention: bool = True) -> None:
        super().__init__()
        self.start = nn.Linear(channels, units)  # h_0 = tanh(W mean_p δ_1 + b)
        self.gru = nn.GRUCell(channels, units)
        self.attention = attention
        if attention:
            self.w_delta = nn.Linear(channels, channels, bias=False)
            self.w_h = nn.Linear(units, channels, bias=False)
            self.w_a = nn.Linear(channels, 1, bias=False)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """δ (B, T, P, C) to the states h (B, T, E) and the weights λ (B, T, P)."""
        means = regions.mean(dim=2)  # (B, T, C)
        state = torch.tanh(self.start(means[:, 0]))  # (B, E)
        if self.attention:
            keys = self.w_delta(regions)  # (B, T, P, C), of all regions at once
        else:
            uniform = means.new_full(regions.shape[:3], 1 / regions.shape[2])  # (B, T, P)
        states, weights = [], []
        for t in range(regions.shape[1]):
            if self.attention:
                scores = self.w_a(torch.tanh(keys[:, t] + self.w_h(state)[:, None]))  # (B, P, 1)
                weight = scores.squeeze(-1).softmax(dim=-1)  # (B, P)
                context = torch.einsum("bp,bpc->bc", weight, regions[:, t])  # (B, C)
            else:
                weight, context = uniform[:, t], means[:, t]
            state = self.gru(context, state)  # (B, E)
            states.append(state)
            weights.append(weight)
        return torch.stack(states, dim=1), torch.stack(weights, dim=1)


def _convolutions(channels: int) -> list[nn.Module]:
    """l1 to l8; pooling before ReLU gives the same numbers and leaves ReLU a fraction of them."""
    layers: list[nn.Module] = []
    for filters, field, pool in LAYERS:
        for before, last in ((channels, False), (filters, True)):
            layers += [
                nn.Conv2d(before, filters, field, padding="same", bias=False),
                BatchNorm2d(filters),
                nn.MaxPool2d(pool) if last else nn.Identity(),
                nn.ReLU(inplace=True),
            ]
        channels = filters
    return layers


def _pooled(plane: Plane) -> tuple[int, int]:
    frequency, time = plane.frequency, plane.time
    for _, _, (over_frequency, over_time) in LAYERS:
        frequency, time = frequency // over_frequency, time // over_time
    if not (frequency and time):
        raise UserError(
            "acrnn: the plane must be at least 32 frequencies × 18 times, "
            f"it is {plane.frequency} × {plane.time}: use larger images or another plane"
        )
    return frequency, time
