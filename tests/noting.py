"""Work for an engine that leaves notes, in a module that a worker loads in no time."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np

from oadls.cache import Cache
from oadls.parallel import run_local
from oadls.ray import run_on_ray

ITEMS = [(f"{n:02x}{n:062x}", f"image {n}") for n in range(0, 256, 4)]  # four a shard
on_ray = partial(run_on_ray, title="Noting", digits=1)  # 16 shards


def opened(folder):
    """A cache for one record of each item."""
    return Cache("test", {"step": "test"}, folder=folder)


def note(block, store, *, folder, seconds=0.0):
    """Write the number of each item, and a note of it: a file for each time."""
    for key, path in block:
        start = time.monotonic()
        time.sleep(seconds)
        store.write({key: {"number": np.array([int(path.split()[1])])}})
        shard = getattr(store, "prefix", "-")  # a cache has none
        line = f"{key} {os.getpid()} {start} {time.monotonic()} {len(block)} {shard}"
        Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").write_text(line)


def notes(folder):
    """key, process, start, end, size of the block, prefix of the shard."""
    return [file.read_text().split() for file in folder.iterdir()]


def note_and_die(block, store, *, folder, times):
    """As `note`, but so many times the worker of item 84 is killed, its last item written."""
    note(block, store, folder=folder / "notes")
    if block[0][1] == "image 84" and len(list(folder.glob("death*"))) < times:
        Path(folder, f"death{time.monotonic_ns()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def run_command(folder, address):
    """A command of its own, on a given cluster or its own one."""
    work = partial(note, folder=folder / "notes", seconds=0.05)
    on_ray(work, ITEMS, cache=opened(folder), address=address, workers=2)


def run_locally(folder, seconds):
    """A command of its own, with the processes of this machine."""
    work = partial(note, folder=folder / "notes", seconds=seconds)
    run_local(work, ITEMS, cache=opened(folder), title="Noting")


def assert_each_once(cache):
    """Every item is there, once, as it was made."""
    assert len(cache) == len(ITEMS)
    for key, path in ITEMS:
        assert cache.read(key)["number"].tolist() == [int(path.split()[1])]
