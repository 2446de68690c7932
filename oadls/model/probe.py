"""The simplest head: what the backbone's last map holds without any network on top.

Its mean runs over the whole picture: on a window of fixed width it also sees the cell's size.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class LinearProbe(nn.Module):
    """Global average pool of the coarsest map, standardised; dropout, one linear layer."""

    def __init__(
        self,
        *,
        channels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        classes: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm1d(channels[-1], affine=False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels[-1], classes)
        nn.init.zeros_(self.classifier.weight)  # what no cell has taught weighs nothing

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps (B, C_i, H_i, W_i), finest first, to logits (B, classes)."""
        pooled = maps[-1].mean(dim=(2, 3))  # (B, C)
        return self.classifier(self.dropout(self.standardise(pooled))).float()  # (B, classes)
