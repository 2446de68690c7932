"""What two processes make of one batch. Processes import this file: it stays light."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from oadls.model.whole_batch import BatchNorm1d, BatchNorm2d, Dropout, see_whole_batch
from oadls.ranks import agree, gather, place_in_batch, rank, share, total, world

WEIGHTS = [1.0, 2.0, 5.0]  # of the classes


def in_two_ranks(work: Callable[[], Any], folder: Path) -> list[Any]:
    """What work() returns in each of two processes."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = [pool.submit(_join, work, place, folder / "store") for place in range(2)]
        return [result.result(timeout=120) for result in results]


def _join(work: Callable[[], Any], place: int, store: Path) -> Any:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=place,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    try:
        return work()
    finally:
        dist.destroy_process_group()


def whole_batch(*shape: int) -> Tensor:
    """Numbers far from zero, the same in every process."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3 + 10


def of_this_rank(whole: Tensor) -> Tensor:
    return whole[share(len(whole), rank=rank(), ranks=world())]


def states() -> list[Tensor]:
    """Of regions, as they are and in the order in which a GRU leaves them in memory."""
    return [
        whole.transpose(0, 1).contiguous().transpose(0, 1) if recurrent else whole
        for whole in (whole_batch(7, 2, 5), whole_batch(3, 2, 5))
        for recurrent in (False, True)
    ]


def norm_over(layer: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Two training steps on x, with gradients that differ from cell to cell."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(2))
    found = {}
    for step in range(2):
        part = of_this_rank(x + step).requires_grad_()
        y = layer(part)
        (y.square() * part.detach()).sum().backward()
        assert part.grad is not None
        found |= {f"y {step}": y.detach(), f"gradient {step}": part.grad}
    sums = {f"sum {name}": p.grad for name, p in layer.named_parameters() if p.grad is not None}
    return found | sums | {f"state {name}": v.clone() for name, v in layer.named_buffers()}


def timms_norm() -> nn.Module:
    """A batch norm that is followed by an activation, in timm's own kind."""
    layer = BatchNormAct2d(3)
    layer.running_mean += 2  # type: ignore[operator]
    return layer


def from_scratch(layer: nn.Module) -> nn.Module:
    """As a network from scratch has it."""
    see_whole_batch(layer)
    return layer


def backbone_from_scratch() -> nn.Module:
    """The CNN Model, of which batch norms are half, in float64: rounding must not turn a pool."""
    from oadls.model.backbone import Backbone

    settings = {"name": "oadls_cnn", "weights": "random", "train_last": "all"}
    return Backbone(**settings, size=32).double()  # type: ignore[arg-type]


def steps_of_backbone() -> dict[str, Tensor]:
    """Gradients, as DDP takes their sum, and statistics after two batches."""
    network = backbone_from_scratch()
    for step in range(2):
        images = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(step))
        network(of_this_rank(images.double()))[0].square().sum().backward()
    sums = {name: total(p.grad) for name, p in network.named_parameters() if p.grad is not None}
    return sums | {name: value.clone() for name, value in network.named_buffers()}


class Layer(nn.Module):
    """Cells to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def classify(self, inputs: tuple[Tensor, ...]) -> Tensor:
        return self.layer(inputs[0])


def weighted_classifier() -> Any:
    from oadls.model.classifier import Classifier

    torch.manual_seed(4)
    return Classifier(
        Layer(),  # type: ignore[arg-type]
        optimizer=partial(torch.optim.SGD, lr=0.1),
        backbone_lr_factor=1.0,
        card={},
        class_weights=WEIGHTS,
        label_smoothing=0.1,
    )


def weighted_step() -> dict[str, Any]:
    """Gradient and logged numbers of one step, as DDP takes the mean of the gradients."""
    model, logged = weighted_classifier(), {}
    model.log = lambda name, value, **_: logged.update({name: float(value)})
    cells, labels = whole_batch(7, 4), torch.arange(7) % 3
    batch = {"inputs": (of_this_rank(cells),), "label": of_this_rank(labels)}
    model.training_step(batch, 0).backward()
    gradient = total(model.network.layer.weight.grad) / world()
    return {"loss gradient": gradient, "logged": logged}


def of_layers() -> dict[str, Any]:
    """What a rank finds for its part of each batch."""
    torch.manual_seed(3)
    return {
        "2d": norm_over(BatchNorm2d(3), whole_batch(7, 3, 4, 5)),
        "1d": norm_over(BatchNorm1d(6, affine=False), whole_batch(5, 6)),
        "act": norm_over(from_scratch(timms_norm()), whole_batch(7, 3, 4, 5)),
        "backbone": steps_of_backbone(),
        "dropout": [Dropout(0.4)(of_this_rank(whole)) for whole in states()],
        "place": place_in_batch(of_this_rank(torch.zeros(7))),
        "agreed": agree(f"rank {rank()}"),
        "gathered": gather(list(range(rank() + 1))),
        **weighted_step(),
    }
