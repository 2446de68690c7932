"""Long work over many images: in blocks, on every core, with a progress bar."""

import functools
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.progress import Progress

from oadls.cache import Cache
from oadls.errors import UserError

FIRST = 4  # items that show how long the others take
START = 2.0  # seconds until processes have started: they must save more
BLOCKS = 8  # for each process at least, so that none waits long for the last


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_blocks(
    function: Callable[[Sequence[Any]], None], items: Sequence[Any], *, title: str, size: int = 32
) -> None:
    """Call function(block) on slices of the items, in one process a core, until all are done.

    function : works on a block for good, into files or the cache: nothing large goes from one
        process to another, and none has to keep up with the others
    size : items of a block at most; what a kill loses of each process
    """
    if not items:
        return
    with Progress(transient=True) as progress:
        bar = progress.add_task(title, total=len(items))
        try:
            for finished in _run_all(function, items, size):
                progress.update(bar, advance=finished)
        except TerminatedWorkerError as error:
            raise UserError(
                f"{title}: a process was killed, most often because memory ran out; what was done "
                "is kept, and the same command goes on with the rest"
            ) from error


def run_local(
    function: Callable[..., None], items: Sequence[Any], *, cache: Cache, title: str
) -> None:
    """Call function(block, cache) on blocks of the items, by the processes of this machine.

    items : each begins with its key in the cache
    Their order differs from run to run, so that commands that start together share the work: each
    passes over what another has written.
    """
    dealt = list(items)
    random.Random().shuffle(dealt)
    run_blocks(functools.partial(_fill, function, cache), dealt, title=title)


def _fill(function: Callable[..., None], cache: Cache, block: Sequence[Any]) -> None:
    missing = cache.missing(block, key=itemgetter(0))
    if missing:
        function(missing, store=cache)


def _run_all(
    function: Callable[[Sequence[Any]], None], items: Sequence[Any], size: int
) -> Iterator[int]:
    """How many items each block had, as blocks are done."""
    number, start = cores(), time.perf_counter()
    yield _run(function, items[:FIRST])
    rest = items[FIRST:]
    left = (time.perf_counter() - start) / FIRST * len(rest)  # seconds by one core
    blocks = batches(rest, min(size, max(1, len(rest) // (BLOCKS * number))))
    if left * (1 - 1 / number) < START:
        yield from (_run(function, block) for block in blocks)
    else:
        pool = Parallel(n_jobs=number, batch_size=1, return_as="generator_unordered")
        yield from pool(delayed(_run)(function, block) for block in blocks)


def _run(function: Callable[[Sequence[Any]], None], block: Sequence[Any]) -> int:
    function(block)
    return len(block)


def batches(items: Any, size: int) -> Iterator[Any]:
    """Slices of at most `size` items, of a sequence or a table."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
