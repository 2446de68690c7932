"""The classifier of a plain convolutional network."""

from collections.abc import Sequence

from torch import Tensor, nn

from oadls.model.whole_batch import Dropout


class FullyConnected(nn.Module):
    """Global average pool of the coarsest map, dropout, a hidden layer with ReLU, the classes.

    hidden : units of the hidden layer
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        classes: int,
        hidden: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.hidden = nn.Linear(channels[-1], hidden)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps (B, C_i, H_i, W_i), finest first, to logits (B, classes)."""
        pooled = maps[-1].mean(dim=(2, 3))  # (B, C)
        hidden = self.hidden(self.dropout(pooled)).relu()  # (B, hidden)
        return self.classifier(hidden).float()  # (B, classes)
