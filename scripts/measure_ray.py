"""Preparation on a local Ray cluster of two workers, one of which is killed half-way.

    python -m scripts.measure_ray [--cells 100000] [--size 160]

Draws 2,000 cells, writes them as PNG again and again, each copy made distinct by its first pixels,
and prepares them with engine=ray. Prints time, bytes and memory of the driver, of the largest
worker and of Ray's own processes; then checks that every record is there once and that 200 cells
are what the pipeline makes of their files. Everything goes into a folder that is deleted in the
end: some 100 kB a cell. Memory is anonymous PSS: pages of mapped files, which the kernel drops as
it likes, are not in it.
"""

import argparse
import functools
import os
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import lmdb
import numpy as np
import pandas as pd
from PIL import Image

from oadls.data.collect import inspect_all
from oadls.data.read import hash_pixels, read_image
from oadls.data.synthetic import load
from oadls.experiment import build
from oadls.parallel import run_blocks
from oadls.pipeline import PreparedCells
from oadls.ray import deal, run_on_ray
from scripts.bench.config import composed

WORKERS = 2
DRAWN = 2_000
EVERY = 1.0  # seconds between two looks at memory
CHECKED = 200
INSPECTED = 5_000
ROWS = 10  # of the table over time
KINDS = ("driver", "largest worker", "Ray's own")


def write_copies(block: Sequence[tuple[str, int, str]], *, folder: Path) -> None:
    """A distinct picture for each (path of a drawn cell, number of the copy, path to write)."""
    rows = []
    for source, number, path in block:
        pixels = read_image(Path(source))
        pixels[0, 0] = np.frombuffer(number.to_bytes(3, "big"), np.uint8)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)
        rows.append((path, hash_pixels(pixels)))
    pd.DataFrame(rows).to_csv(folder / f"{uuid.uuid4().hex}.csv", index=False, header=False)


def write_cells(folder: Path, *, number: int, size: int) -> pd.DataFrame:
    """path and pixels_sha256 of so many distinct pictures."""
    drawn = load(root=folder, patients=40, cells_per_patient=DRAWN // 40, size=size).table["path"]
    work = [
        (drawn[n % DRAWN], n // DRAWN, f"{folder}/cells/{n // 1000}/{n}.png") for n in range(number)
    ]
    tables = folder / "tables"
    tables.mkdir()
    run_blocks(functools.partial(write_copies, folder=tables), work, title="Writing cells")
    names = ["path", "pixels_sha256"]
    table = pd.concat([pd.read_csv(file, names=names) for file in sorted(tables.iterdir())])
    assert table["pixels_sha256"].nunique() == len(table) == number
    return table.reset_index(drop=True)


@dataclass
class Watch:
    """What was seen while the cells were prepared, a row a look.

    seconds : since the start
    files : shards published
    memory : MB by KINDS
    cpu : process number of a worker -> seconds of processor that it used
    killed : seconds at which a worker was killed
    """

    shards: Path
    total: int
    seconds: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    memory: list[tuple[float, ...]] = field(default_factory=list)
    cpu: dict[int, float] = field(default_factory=dict)
    killed: float | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        start, done = time.perf_counter(), threading.Event()

        def watch() -> None:
            while not done.wait(EVERY):
                self.look(time.perf_counter() - start)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def look(self, seconds: float) -> None:
        names = descendants(os.getpid())
        workers = [process for process, name in names.items() if name.startswith("ray::")]
        own = [process for process in names if process not in workers]
        self.seconds.append(seconds)
        self.files.append(len(list(self.shards.glob("*.mdb"))))
        self.memory.append(
            (
                anonymous_mb(os.getpid()),
                max(map(anonymous_mb, workers), default=0),
                sum(map(anonymous_mb, own)),
            )
        )
        for process in workers:
            self.cpu[process] = max(self.cpu.get(process, 0), cpu_seconds(process))
        busy = [p for p in workers if "fill_shard" in names[p]]
        if self.killed is None and busy and self.files[-1] >= self.total / 2:
            os.kill(busy[0], signal.SIGKILL)
            self.killed = seconds


def descendants(process: int) -> dict[int, str]:
    """Process number -> command line of everything that a process started, directly or not."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, read(task / "children").split()):
            found[child] = read(Path(f"/proc/{child}/cmdline"))
            found |= descendants(child) if Path(f"/proc/{child}/task").is_dir() else {}
    return found


def anonymous_mb(process: int) -> float:
    """Anonymous memory of a process in MB, pages that several share divided among them."""
    lines = read(Path(f"/proc/{process}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss_Anon"))


def cpu_seconds(process: int) -> float:
    """Processor time of a process, user and system; 0 when it has ended."""
    fields = read(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def read(path: Path) -> str:
    """The text of a file of /proc; empty when its process has ended."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def print_memory(watch: Watch) -> None:
    """Memory over time, then the two halves against each other: the start is left out."""
    memory, seconds = np.array(watch.memory), np.array(watch.seconds)  # (looks, 3), (looks,)
    print("| seconds | shards | " + " | ".join(f"{kind}, MB" for kind in KINDS) + " |")
    print("| --- | --- | --- | --- | --- |")
    for rows in np.array_split(np.arange(len(seconds)), min(ROWS, len(seconds))):
        shown = " | ".join(f"{value:.0f}" for value in memory[rows].max(axis=0))
        print(f"| to {seconds[rows[-1]]:.0f} | {watch.files[rows[-1]]} | {shown} |")
    begun = np.searchsorted(watch.files, 1)
    first, second = np.array_split(memory[begun:], 2)
    for kind, a, b in zip(KINDS, first.T, second.T, strict=True):
        print(
            f"{kind}: median {np.median(a):.0f} MB in the first half, {np.median(b):.0f} MB in the "
            f"second; peaks {a.max():.0f}, {b.max():.0f}"
        )


def check(prepared: PreparedCells, table: pd.DataFrame) -> None:
    """Every record once, in the shard files alone; some cells are what the pipeline makes now."""
    cache = prepared._cache
    found: Counter[str] = Counter()
    for file in cache.shards.files():
        with (
            lmdb.open(str(file), subdir=False, readonly=True, lock=False) as environment,
            environment.begin() as transaction,
        ):
            found.update(bytes(key).decode() for key in transaction.cursor().iternext(values=False))
    hashes = table["pixels_sha256"].tolist()
    wanted = {key for each in hashes for key in (each, f"{each} picture")}
    lost, doubled = wanted - set(found), [key for key, times in found.items() if times > 1]
    print(
        f"records: {found.total():,} of {len(wanted):,}, {len(lost)} lost, {len(doubled)} doubled"
    )
    assert set(found) == wanted
    assert not doubled
    sample = table.sample(min(CHECKED, len(table)), random_state=0)
    for key, path in zip(sample["pixels_sha256"], sample["path"], strict=True):
        made = prepared.pipeline(read_image(Path(path))).to_records(key)
        for record, arrays in made.items():
            kept = cache.read(record)
            assert kept.keys() == arrays.keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(kept[name], array)
    print(f"{len(sample)} cells drawn from them: equal to what the pipeline makes of their files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=160, help="side of a picture in pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["OADLS_CACHE_DIR"] = f"{home}/cache"
        measure(Path(home), number=options.cells, size=options.size)


def measure(folder: Path, *, number: int, size: int) -> None:
    start = time.perf_counter()
    table = write_cells(folder, number=number, size=size)
    stored = sum(os.stat(path).st_size for path in table["path"])
    print(
        f"{number:,} cells of {size} × {size} px written in {time.perf_counter() - start:.0f} s, "
        f"{stored / number / 1e3:.1f} kB each",
        flush=True,
    )
    start = time.perf_counter()
    some = table["path"][:INSPECTED].tolist()
    inspect_all(some)
    each = (time.perf_counter() - start) / len(some)
    print(f"collect reads and hashes {len(some):,} of them at {1 / each:.0f} cells/s", flush=True)

    prepared = PreparedCells(build(composed("prepare").pipeline)())
    shards = prepared._cache.shards.folder
    items = list(zip(table["pixels_sha256"], table["path"], strict=True))
    watch = Watch(shards, total=len(deal(items, 2)))
    start = time.perf_counter()
    with watch.watching():
        prepared.fill(table, engine=functools.partial(run_on_ray, workers=WORKERS, digits=2))
    seconds = time.perf_counter() - start
    files = [file.stat().st_size for file in prepared._cache.shards.files()]
    print(
        f"prepared in {seconds:.0f} s, start and end of the cluster included: "
        f"{number / seconds:.1f} cells/s, {1000 * sum(watch.cpu.values()) / number:.1f} ms of "
        f"processor a cell; {len(files)} shards of {np.mean(files) / 1e6:.1f} MB, "
        f"{sum(files) / number / 1e3:.1f} kB a cell"
    )
    print(
        f"a worker was killed at {watch.killed:.0f} s" if watch.killed else "no worker was killed"
    )
    print_memory(watch)
    check(prepared, table)


if __name__ == "__main__":
    main()
