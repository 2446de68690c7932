"""Long work over many images, on every core, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from joblib import Parallel, delayed
from rich.progress import track

FEW = 16  # fewer items than this are done before a pool of processes has started


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Any], Any], items: Sequence[Any], *, title: str, workers: int | None = None
) -> Iterator[Any]:
    """Results in the order of the items, as they come; one process a core unless told otherwise."""
    number = workers or cores()
    if number == 1 or len(items) < FEW:
        results: Iterator[Any] = map(function, items)
    else:
        pool = Parallel(n_jobs=number, return_as="generator", batch_size="auto")
        results = pool(delayed(function)(item) for item in items)
    return iter(track(results, title, total=len(items), disable=not items, transient=True))


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Slices of at most `size` items."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
