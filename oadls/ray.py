"""Work on a Ray cluster: every task fills one shard of the cache, by one cell after another.

Only paths and numbers go through Ray. What a task makes goes into a draft cell by cell and is
published when the shard is whole (oadls/shards.py): a task that is lost is run again, from the
start of its shard, and one that is done twice changes nothing.
"""

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Annotated, Any

from pydantic import Field, PositiveInt
from rich.progress import Progress

from oadls.cache import Cache
from oadls.errors import UserError
from oadls.parallel import cores

RETRIES = 3  # of a shard whose worker died


def run_on_ray(
    function: Callable[..., None],
    items: Sequence[tuple[str, str]],
    *,
    cache: Cache,
    title: str,
    address: str | None = None,
    workers: PositiveInt | None = None,
    digits: Annotated[int, Field(ge=1, le=6)] = 2,
) -> None:
    """Call function([item], draft) for every item that no shard holds, until all are published.

    function : writes the records of a block of items into the draft of a shard
    items : content hash, path of each image
    address : of a running cluster; None starts one on this machine and stops it in the end
    workers : shards at a time, which is what bounds memory; None for one a core of the cluster
    digits : of the content hash, by which items are dealt to shards. Commands that share a cache at
        the same time must agree on it, or else records that both make are there twice
    raises UserError when Ray is missing, a cluster is not there, an image cannot be read, or
        workers die again and again; what was published until then stays
    """
    if not items:
        return
    shards = deal(items, digits)
    cache.shards.remove_stale_drafts()
    with connected(address, workers), Progress(transient=True) as progress:
        bar = progress.add_task(title, total=len(items))
        fill = partial(fill_shard, function=function, cache=cache, start=time.time())
        for done in stream(fill, shards, workers):
            if done["error"]:
                raise UserError(done["error"])
            progress.update(bar, advance=done["cells"])


def deal(items: Sequence[tuple[str, str]], digits: int) -> list[dict[str, Any]]:
    """The items by shard: prefix, hashes, paths.

    In an order that differs from run to run, so that two commands at once share the work: each
    passes over the shards that the other has published.
    """
    shards = []
    for prefix, group in groupby(sorted(items), key=lambda item: item[0][:digits]):
        hashes, paths = zip(*group, strict=True)
        shards.append({"prefix": prefix, "hashes": list(hashes), "paths": list(paths)})
    random.Random().shuffle(shards)
    return shards


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[None]:
    """A Ray cluster that this process is connected to: the one that it is, or for this time."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError("engine=ray: Ray is not installed: pip install 'oadls[ray]'") from None
    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {"num_cpus": workers or cores(), "include_dashboard": False}
    try:
        if address and address != "auto":  # Ray itself tries for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(
            address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            **({} if address else own),
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"engine.address: no Ray cluster at {address} ({error}); ray start --head starts one"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def stream(
    function: Callable[[dict[str, Any]], dict[str, Any]],
    rows: list[dict[str, Any]],
    workers: int | None,
) -> Iterator[dict[str, Any]]:
    """function(row) of each row, by so many tasks at a time, in the order in which they end."""
    import ray.data

    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        function, compute=ray.data.TaskPoolStrategy(workers)
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    dataset.context.execution_no_progress_timeout_s = -1  # a large shard may take an hour
    yield from dataset.iter_rows()


def fill_shard(
    shard: dict[str, Any], *, function: Callable[..., None], cache: Cache, start: float
) -> dict[str, Any]:
    """Make and publish what is missing of a shard, on a worker.

    start : of the command, in seconds since the epoch
    returns its number of cells and the message of a UserError, empty if there was none: an
        exception would come back with the traceback of every process between
    """
    try:
        if not cache.path.is_dir():
            raise UserError(
                f"cache: {cache.path} is not there on {os.uname().nodename}; "
                "every worker must see OADLS_CACHE_DIR and the images under the same path"
            )
        # Ray runs a task whose worker died again without end, and it may be a picture that kills it
        if cache.shards.count_drafts(shard["prefix"], since=start) > RETRIES:
            raise UserError(
                f"engine=ray: workers died on one shard again and again, among them images as "
                f"{shard['paths'][0]}; a smaller engine.workers leaves each more memory. "
                "The same command goes on with what is missing"
            )
        present = cache.shards.present(shard["hashes"])
        with cache.draft(shard["prefix"]) as draft:
            for item in zip(shard["hashes"], shard["paths"], strict=True):
                if item[0] not in present:
                    function([item], draft)
            draft.publish()
    except UserError as error:
        return {"cells": 0, "error": str(error)}
    return {"cells": len(shard["paths"]), "error": ""}
