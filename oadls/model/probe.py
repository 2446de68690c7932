"""The simplest head: what the backbone's last map holds without any network on top."""

from collections.abc import Sequence

from torch import Tensor, nn


class LinearProbe(nn.Module):
    """Global average pool of the coarsest map, dropout, one linear layer."""

    def __init__(
        self,
        *,
        channels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        classes: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels[-1], classes)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps (B, C_i, H_i, W_i), finest first, to logits (B, classes)."""
        pooled = maps[-1].mean(dim=(2, 3))  # (B, C)
        return self.classifier(self.dropout(pooled)).float()
