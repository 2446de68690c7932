"""How a network is trained and what is kept of it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oadls.metrics import fitness, scores
from oadls.model.network import Network, parameter_groups
from oadls.ranks import gather, place_in_batch, total, world

LOGGED = ("precision", "sensitivity", "specificity", "f1", "accuracy", "auroc")


class Classifier(pl.LightningModule):
    """Cross entropy on the network's logits; validation by the fitness of eqs 10-11.

    network : trunk (frozen), tail and head
    optimizer : class with its settings bound (lr, weight_decay, ...), given parameter groups
    class_weights : one weight a class in the loss, or None
    label_smoothing : in [0, 1)
    backbone_lr_factor : learning rate of the tail as a fraction of the head's
    card : plain values that a checkpoint must carry to be used alone (config, classes, fold, ...)
    """

    def __init__(
        self,
        network: Network,
        *,
        optimizer: partial[torch.optim.Optimizer],
        backbone_lr_factor: float,
        card: dict[str, Any],
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network, self.card, self.seed = network, card, seed
        self.make_optimizer, self.backbone_lr_factor = optimizer, backbone_lr_factor
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.loss = nn.CrossEntropyLoss(weight=weights, label_smoothing=label_smoothing)
        self.seen: list[dict[str, Tensor]] = []

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Logits (B, K) from what the frozen trunk returned: its maps, or images if none is."""
        return self.network.classify(inputs)

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        # dropout depends on seed and step alone: a resumed run repeats an unbroken one
        torch.manual_seed(self.seed + 1_000_003 * self.global_step)
        logits, label = self(batch["inputs"]), batch["label"]
        _, size = place_in_batch(label)
        weight = self._weight(label)
        # of the whole batch; DDP takes the mean over the ranks of what is returned
        loss = self.loss(logits, label) * (weight / total(weight))
        right = (logits.argmax(dim=1) == label).float().sum()
        whole_loss, right = total(torch.stack([loss.detach(), right]))
        self.log("train/loss", whole_loss, on_step=False, on_epoch=True, batch_size=size)
        self.log("train/accuracy", right / size, on_step=False, on_epoch=True, batch_size=size)
        return loss * world()

    def _weight(self, label: Tensor) -> Tensor:
        """By what the mean of the loss divides: the weights of the cells, else their number."""
        if self.loss.weight is None:
            return torch.tensor(float(len(label)), device=label.device)
        return self.loss.weight[label].sum()

    def predict_step(self, batch: dict[str, Any], _: int) -> dict[str, Tensor]:
        logits = self(batch["inputs"]).float()
        return {
            "row": batch["row"],
            "view": batch["view"],
            "label": batch["label"],
            "probability": logits.softmax(dim=1),
        }

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.seen.append(self.predict_step(batch, index))

    def on_validation_epoch_end(self) -> None:
        _, labels, probabilities = pool_views(of_all_ranks(self.seen))
        self.seen.clear()
        found = scores(labels, probabilities, classes=self.card["classes"])
        loss = F.nll_loss(
            torch.from_numpy(probabilities).clamp_min(1e-12).log(), torch.from_numpy(labels)
        )
        values = {f"val/{name}": found[name] for name in LOGGED if found[name] is not None}
        per_class = found["per_class"].items()
        values |= {f"val/precision_{name}": score["precision"] for name, score in per_class}
        values |= {"val/loss": loss.item(), "val/fitness": fitness(found["precision"], found["f1"])}
        self.log_dict(values)

    def configure_optimizers(self) -> Any:
        """The optimizer, its learning rates falling to zero along a cosine over the whole run."""
        settings = self.make_optimizer.keywords
        groups = parameter_groups(
            self.network,
            lr=settings["lr"],
            weight_decay=settings["weight_decay"],
            backbone_lr_factor=self.backbone_lr_factor,
        )
        optimizer = self.make_optimizer(groups)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["oadls"] = self.card


def of_all_ranks(seen: Sequence[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """What `predict_step` returned in every rank, the same list in each."""
    own = [{name: values.cpu() for name, values in batch.items()} for batch in seen]
    return [batch for part in gather(own) for batch in part]


def pool_views(
    seen: Sequence[dict[str, Tensor]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the views of each cell: rows (N,), labels (N,), probabilities (N, K).

    raises RuntimeError unless every cell comes once in every view
    """
    row, view, label, probability = (
        torch.cat([batch[name] for batch in seen]).numpy()
        for name in ("row", "view", "label", "probability")
    )
    rows, first, inverse = np.unique(row, return_index=True, return_inverse=True)
    counted = np.zeros((len(rows), view.max() + 1), dtype=int)
    np.add.at(counted, (inverse, view), 1)
    if (counted != 1).any():
        raise RuntimeError("predict: a cell is missing in a view, or counted twice")
    sums = np.zeros((len(rows), probability.shape[1]))
    np.add.at(sums, inverse, probability)
    return rows, label[first], sums / np.bincount(inverse)[:, None]
