"""Training: the ACRNN's arithmetic, what the cache saves, what the Trainer costs."""

import copy
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from oadls.experiment import Experiment, build
from oadls.fitting import fit
from oadls.model.acrnn import ACRNN
from oadls.model.classifier import Classifier
from oadls.model.engine import with_torch
from oadls.model.network import Network, parameter_groups
from oadls.settings import cpu_precision
from oadls.tracking import make_logger
from oadls.training import quiet
from scripts.bench.config import composed
from scripts.bench.plain_acrnn import PlainACRNN
from scripts.bench.table import Row, Timing, alternate, ratio, show_seconds
from scripts.bench.weights import sensible_weights

BATCH = 16
HALF = cpu_precision() == "bf16-mixed"


def measure() -> list[Row]:
    """All rows of this part."""
    quiet()
    return [
        acrnn_row("acrnn_f"),
        acrnn_row("acrnn_a128"),
        epoch_row("acrnn_f"),
        epoch_row("linear_probe"),
        overhead_row(),
    ]


def acrnn_row(head: str, *, repeats: int = 7) -> Row:
    """Forward and backward of one batch on the maps of the default backbone."""
    network = untrained(composed("train", f"model/head={head}"))
    shapes = zip(network.backbone.channels, network.backbone.sizes, strict=True)
    maps = tuple(torch.randn(BATCH, channels, *size) for channels, size in shapes)
    labels = torch.randint(2, (BATCH,))
    ours, plain = without_dropout(network.head), PlainACRNN(copy.deepcopy(network.head))
    plain.to(memory_format=torch.contiguous_format)
    checks = same_gradients(ours, plain, maps, labels)
    timings = alternate(
        {
            "ours": partial(backward, ours, maps, labels, half=HALF),
            "fp32": partial(backward, ours, maps, labels),
            "plain": partial(backward, plain, maps, labels),
        },
        repeats=repeats,
    )
    return Row(
        what=f"{head} forward + backward, {BATCH} cells, as trainer=cpu runs it",
        reference="the equations in plain PyTorch, eager, fp32",
        figure=ratio(timings["plain"], timings["ours"]),
        unit="× faster",
        aim=2,
        ours=timings["ours"],
        theirs=timings["plain"],
        checks=checks,
        limit=f"in fp32 too it is {ratio(timings['plain'], timings['fp32']):.2f} × faster",
    )


def untrained(config: DictConfig) -> Network:
    """The network of a config, for two classes and without any cells."""
    pl.seed_everything(0, verbose=False)
    return Network(backbone=build(config.model.backbone), head=build(config.model.head), classes=2)


def without_dropout(model: ACRNN) -> ACRNN:
    model.dropout.p = 0.0
    return model


def backward(
    model: nn.Module, maps: tuple[Tensor, ...], labels: Tensor, *, half: bool = False
) -> list[Tensor]:
    """Logits, then the gradients of all parameters."""
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        logits = model(maps)
        loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    return [logits.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def same_gradients(
    ours: nn.Module, plain: nn.Module, maps: tuple[Tensor, ...], labels: Tensor
) -> dict[str, bool]:
    """Equality in float64, and direction of the gradient in the precision of training.

    Where two values tie in a pool, rounding decides which one gets the gradient: in fp32 either
    model is up to 1 % away from itself in float64. Both declare their layers in one order, so that
    their parameters pair up.
    """
    double = tuple(m.double() for m in maps)
    exact = _flat(backward(copy.deepcopy(plain).double(), double, labels))
    found = _flat(backward(copy.deepcopy(ours).double(), double, labels))
    trained = _flat(backward(ours, maps, labels, half=HALF))
    error = float((exact - found).norm() / exact.norm())
    alike = float(nn.functional.cosine_similarity(exact, trained, dim=0))
    return {
        f"float64 logits and gradients differ by {error:.0e}, limit 1e-6": error < 1e-6,
        f"cosine of the gradient trained with to float64 {alike:.3f}, limit 0.9": alike >= 0.9,
    }


def _flat(logits_and_gradients: list[Tensor]) -> Tensor:
    return torch.cat([each.flatten() for each in logits_and_gradients]).double()


def epoch_row(head: str, *, cells: int = 32, repeats: int = 3) -> Row:
    """One epoch of a head on EfficientNetV2-M at 384 px, from the cache and from the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        weights = sensible_weights(Path(folder))
        config = composed(
            "train",
            "data=all_idb2",
            f"model/head={head}",
            "model/backbone=effnetv2m",
            f"model.backbone.weights={weights}",
            "training.views=1",
            "training.test_views=1",
        )
        experiment = Experiment.open(config)
        network = experiment.network(seed=0)
    every = len(experiment.table) // cells
    sides = np.full(len(experiment.table), "", dtype="<U5")
    sides[::every][:cells] = "train"
    data = experiment.data(sides, network.backbone)
    loader, trunk = data.train_dataloader(), with_torch(network.backbone)
    keys = experiment.table["pixels_sha256"].tolist()
    step = Step(config, network)

    def cached() -> None:
        for batch in loader:
            step(batch["inputs"], batch["label"])

    def from_pictures() -> None:
        for batch in loader:
            pictures = np.stack([experiment.views.picture(keys[row]) for row in batch["row"]])
            inputs = tuple(torch.from_numpy(m) for m in trunk(pictures))
            step(inputs, batch["label"])

    timings = alternate({"cached": cached, "pictures": from_pictures}, repeats=repeats)
    return Row(
        what=f"epoch of {head} on cached maps of EfficientNetV2-M, 384 px, {cells} cells",
        reference="the same with the backbone in each epoch, by torch",
        figure=ratio(timings["pictures"], timings["cached"]),
        unit="× faster",
        aim=20,
        ours=timings["cached"],
        theirs=timings["pictures"],
        why=f"the head itself takes {show_seconds(timings['cached'].median / cells)} a cell, "
        f"the backbone {show_seconds(timings['pictures'].median / cells)} with it",
    )


class Step:
    """A training step as a hand-written loop has it."""

    def __init__(self, config: DictConfig, network: Network) -> None:
        self.network = network.train()
        groups = parameter_groups(network, lr=1e-4, weight_decay=0.0)
        self.optimizer = build(config.optimizer)(groups)
        self.loss = nn.CrossEntropyLoss(label_smoothing=config.training.label_smoothing)
        self.half = config.trainer.precision == "bf16-mixed"

    def __call__(self, inputs: tuple[Tensor, ...], labels: Tensor) -> None:
        self.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            loss = self.loss(self.network.classify(inputs), labels)
        loss.backward()
        self.optimizer.step()


def overhead_row(*, repeats: int = 5, experiment_name: str = "all_idb2") -> Row:
    """A step of one fold as `oadls.train` runs it, with its callbacks, logger and metrics."""
    config = composed(
        "train",
        f"+experiment={experiment_name}",
        "training.epochs=1",
        "training.views=1",
        "training.test_views=1",
    )
    experiment = Experiment.open(config)
    split = experiment.splits()[0]
    network = experiment.network(seed=0)
    loader = experiment.data(experiment.sides(split), network.backbone).train_dataloader()
    step = Step(config, network)
    stamps: list[float] = []
    Classifier.on_train_batch_end = lambda *_: stamps.append(time.perf_counter())

    def trained(_: int) -> float:
        stamps.clear()
        with tempfile.TemporaryDirectory() as folder:
            logger = make_logger(config, Path(folder), split.name)
            fit(experiment, split, Path(folder), logger, test=config.test)
        return (stamps[-1] - stamps[0]) / (len(stamps) - 1)

    def by_hand(_: int) -> float:
        stamps.clear()
        for batch in loader:
            step(batch["inputs"], batch["label"])
            stamps.append(time.perf_counter())
        return (stamps[-1] - stamps[0]) / (len(stamps) - 1)

    by_hand(0)
    pairs = [(trained(turn), by_hand(turn)) for turn in range(repeats)]
    ours, theirs = (Timing(list(seconds)) for seconds in zip(*pairs, strict=True))
    return Row(
        what=f"a training step through `oadls.train +experiment={experiment_name}`",
        reference="a hand-written loop over the same batches",
        figure=100 * (ratio(ours, theirs) - 1),
        unit="% more",
        aim=5,
        at_most=True,
        ours=ours,
        theirs=theirs,
    )
