"""Several devices work on one command, each with a process of its own: a rank.

Outside `together` there is one rank, and every function here gives back what it was given.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import rich
import torch
import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from torch import Tensor

from oadls.errors import UserError
from oadls.settings import one_device_a_job

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from pytorch_lightning.strategies import DDPStrategy

PATIENCE = timedelta(hours=12)  # one rank may prepare the cells for which the others wait
T = TypeVar("T")


def ddp() -> "DDPStrategy":
    """Lightning's strategy of one process a device."""
    from pytorch_lightning.strategies import DDPStrategy

    return DDPStrategy(gradient_as_bucket_view=True, timeout=PATIENCE)


@contextmanager
def together(trainer: "pl.Trainer") -> Iterator[None]:
    """Every rank of a trainer works on the block; for one device this does nothing.

    Starts the other ranks of one machine, which run the same command, or joins those that torchrun
    or SLURM has started. If this rank fails, those that it started end with it.
    raises UserError in a multirun, and where there are not as many processes as devices
    """
    devices = trainer.num_devices * trainer.num_nodes
    if devices == 1:
        _check_alone()
        yield
        return
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise UserError(one_device_a_job(devices))
    launcher: Any = trainer.strategy.launcher
    try:
        launcher.launch(trainer.strategy.setup_environment, trainer=trainer)
    except ValueError as error:  # not as many processes as devices
        raise UserError(f"trainer: {error}") from error
    if rank() > 0:  # one is enough to hear from
        logging.getLogger("oadls").setLevel(logging.WARNING)
        rich.get_console().quiet = True
    try:
        yield
    except BaseException:
        launcher.kill(signal.SIGKILL)  # they may wait for this rank
        ended = list(launcher.procs)
        launcher.procs.clear()  # else Lightning ends this rank too, before it can say why
        for process in ended:
            process.wait()
        raise
    for process in launcher.procs:
        process.wait()


def _check_alone() -> None:
    started = os.environ.get("WORLD_SIZE", "1")
    if started != "1":
        raise UserError(
            f"trainer: {started} processes were started, but the trainer has one device; "
            "add trainer=ddp trainer.devices=PROCESSES_A_MACHINE trainer.num_nodes=MACHINES"
        )


def world() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0; rank zero alone writes the run's folder."""
    return dist.get_rank() if world() > 1 else 0


def share(number: int, *, rank: int, ranks: int) -> slice:
    """A rank's part of `number` items: in order, as even as can be, each item in one part."""
    return slice(number * rank // ranks, number * (rank + 1) // ranks)


def agree(value: T) -> T:
    """The value of rank zero, in every rank."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def gather(value: T) -> list[T]:
    """The value of each rank, in every rank."""
    if world() == 1:
        return [value]
    found: list[Any] = [None] * world()
    dist.all_gather_object(found, value)
    return found


def in_turn(work: Callable[[], T]) -> T:
    """What `work` returns, done by one rank of each machine first: the others find its cache."""
    if world() == 1:
        return work()
    first = _place_on_machine()[0] == 0
    if first:
        result = work()
    dist.barrier()
    return result if first else work()


def for_this_machine(work: Callable[[Iterable[T]], Any], items: Iterable[T]) -> None:
    """Work on the items once on each machine, every rank of it on a part; waits for all."""
    if world() == 1:
        work(items)
        return
    place, ranks = _place_on_machine()
    known = list(items)
    work(known[share(len(known), rank=place, ranks=ranks)])
    dist.barrier()


def _place_on_machine() -> tuple[int, int]:
    """Which of the ranks on this machine this is, and how many they are."""
    machines = gather(socket.gethostname())
    here = [each for each, machine in enumerate(machines) if machine == machines[rank()]]
    return here.index(rank()), len(here)


class _Total(torch.autograd.Function):
    """Sum over the ranks; each rank's gradient is the sum of all, for all have used the total."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Total.forward(ctx, gradients[0])


def total(part: Tensor) -> Tensor:
    """Sum over the ranks, of any shape, through which gradients flow."""
    return part if world() == 1 else _Total.apply(part)


def place_in_batch(part: Tensor) -> tuple[int, int]:
    """Where this rank's part (b, ...) of a batch starts, and the size of the whole batch."""
    if world() == 1:
        return 0, len(part)
    sizes = torch.zeros(world(), dtype=torch.int64, device=part.device)
    sizes[rank()] = len(part)
    dist.all_reduce(sizes)
    return int(sizes[: rank()].sum()), int(sizes.sum())
