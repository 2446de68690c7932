"""Random reads from the cache, against a memory-mapped file and against what training needs."""

import itertools
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from oadls.cache import Cache
from oadls.training import quiet
from scripts.bench.config import composed
from scripts.bench.head import BATCH, Step, untrained
from scripts.bench.table import Row, alternate, ratio

RECORDS = 2000


def measure(*, records: int = RECORDS, repeats: int = 7) -> list[Row]:
    """Records of the maps that the default head reads, all in memory after the first round."""
    quiet()
    config = composed("train")
    network = untrained(config)
    shapes = [
        (channels, *size)
        for channels, size in zip(network.backbone.channels, network.backbone.sizes, strict=True)
    ]
    rng = np.random.default_rng(0)
    maps = [[rng.standard_normal(s).astype(np.float32) for s in shapes] for _ in range(BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        cache, mapped = (
            fill_cache(Path(folder), maps, records),
            fill_file(Path(folder), maps, records),
        )
        order = rng.permutation(records).tolist()

        def from_cache() -> None:
            for record in order:
                cache.read(str(record))

        def from_file() -> None:
            for record in order:
                np.array(mapped[record])

        checks = {
            "the same bytes from both": all(
                as_bytes(cache.read(str(record))) == mapped[record].tobytes()
                for record in order[:50]
            )
        }
        timings = alternate({"cache": from_cache, "file": from_file}, repeats=repeats)
    step = Step(config, network)
    inputs = tuple(torch.from_numpy(np.stack(m)) for m in zip(*maps, strict=True))
    batches = partial(train, step, inputs, count=4)
    used = alternate({"step": batches}, repeats=3)["step"]
    each = {"read": timings["cache"].median / records, "use": used.median / 4 / BATCH}
    size = mapped.shape[1] / 1e6
    return [
        Row(
            what=f"random reads from the cache, {records:,} records of {size:.2f} MB",
            reference="copies out of one np.memmap",
            figure=ratio(timings["file"], timings["cache"]),
            unit="× its rate",
            aim=0.5,
            ours=timings["cache"],
            theirs=timings["file"],
            checks=checks,
            limit="every record is checked by its hash; the file is not",
        ),
        Row(
            what="random reads from the cache",
            reference=f"a training step of the default head uses {1 / each['use']:.0f} records/s",
            figure=each["use"] / each["read"],
            unit="× the rate of use",
            aim=10,
            ours=timings["cache"],
            theirs=used,
        ),
    ]


def as_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """All arrays of a record, by number."""
    return b"".join(arrays[name].tobytes() for name in sorted(arrays))


def train(step: Step, inputs: tuple[torch.Tensor, ...], *, count: int) -> None:
    """Some steps on one batch."""
    labels = torch.arange(BATCH) % 2
    for _ in range(count):
        step(inputs, labels)


def fill_cache(folder: Path, maps: list[list[np.ndarray]], records: int) -> Cache:
    """The maps in turn under the keys 0, 1, ..."""
    cache = Cache("bench", {}, folder=folder, compress=False)
    for first in range(0, records, BATCH):
        chosen = zip(range(first, min(first + BATCH, records)), itertools.cycle(maps))
        cache.write({str(k): {str(i): m for i, m in enumerate(each)} for k, each in chosen})
    return cache


def fill_file(folder: Path, maps: list[list[np.ndarray]], records: int) -> np.ndarray:
    """The same in one file, (records, bytes) uint8."""
    rows = [np.concatenate([m.reshape(-1).view(np.uint8) for m in each]) for each in maps]
    mapped = np.memmap(folder / "maps", np.uint8, "w+", shape=(records, len(rows[0])))
    for record in range(records):
        mapped[record] = rows[record % BATCH]
    mapped.flush()
    return np.memmap(folder / "maps", np.uint8, "r", shape=mapped.shape)
