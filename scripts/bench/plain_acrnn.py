"""The ACRNN as its equations read, in plain PyTorch: what the model's own code is measured against.

One module a layer, contiguous tensors, float32, a loop over regions: as a practitioner writes it
down from section 3.4 of the paper. It takes the weights of `oadls.model.acrnn.ACRNN`.
"""

import torch
from torch import Tensor, nn

from oadls.model.acrnn import ACRNN, LAYERS


class PlainACRNN(nn.Module):
    """Layers l1 to l10 with attention, without dropout; `plane` is the caller's."""

    def __init__(self, model: ACRNN) -> None:
        super().__init__()
        self.plane = model.plane
        kept = [m for m in model.convolutions if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        layers: list[nn.Module] = []
        for number, (_, _, pool) in enumerate(LAYERS):
            first, first_norm, second, second_norm = kept[4 * number : 4 * number + 4]
            layers += [first, first_norm, nn.ReLU(), second, second_norm, nn.ReLU()]
            layers.append(nn.MaxPool2d(pool))
        self.convolutions = nn.Sequential(*layers)
        self.forwards, self.backwards = model.l9_forward, model.l9_backward
        self.l10, self.classifier = model.l10, model.classifier

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps to logits (B, classes)."""
        features = self.convolutions(self.plane(maps))  # (B, C, P, T)
        regions = [features[..., t].transpose(1, 2) for t in range(features.shape[3])]  # (B, P, C)
        ahead = self.run(self.forwards, regions)
        back = self.run(self.backwards, regions[::-1])[::-1]
        states = torch.stack([torch.cat(pair, dim=1) for pair in zip(ahead, back, strict=True)], 1)
        states, _ = self.l10(states)  # (B, T, 2E)
        logits = [self.classifier(states[:, t]) for t in range(states.shape[1])]
        return torch.stack(logits, dim=1).mean(dim=1)

    @staticmethod
    def run(layer: nn.Module, regions: list[Tensor]) -> list[Tensor]:
        """Equations 4 to 6 over the regions in turn: the states h_t, each (B, E)."""
        state = torch.tanh(layer.start(regions[0].mean(dim=1)))
        states = []
        for region in regions:
            mixed = torch.tanh(layer.w_delta(region) + layer.w_h(state).unsqueeze(1))  # (B, P, C)
            weights = torch.softmax(layer.w_a(mixed), dim=1)  # (B, P, 1)
            state = layer.gru((weights * region).sum(dim=1), state)
            states.append(state)
        return states
