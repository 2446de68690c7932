"""How time and memory grow from 1,000 to 100,000 drawn cells.

Each size runs in a process of its own with a cache of its own (`python -m scripts.bench.growth N`
prints what one size took). Cells are small (64 px, 32 px to the network) and the head is light, so
that 100,000 of them take minutes; every step is the one that a user's cells take.
"""

import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.table import Row, Timing, show_seconds

SIZES = (1_000, 10_000, 100_000)
PER_PATIENT = 50
SETTINGS = [
    "data=synthetic",
    f"data.cells_per_patient={PER_PATIENT}",
    "+data.source.size=64",
    "data.window=64",
    "split=grouped_kfold",
    "split.folds=3",
    "model/head=cell_probe",
    "model.backbone.size=32",
    "augment=none",
    "training.epochs=1",
    "training.views=1",
    "training.test_views=1",
    "training.batch_size=64",
    "training.balance=none",
    "report=false",
]
STEPS = {
    "collect": "read, hash and group the images (near-duplicates included)",
    "prepare": "prepare: filter, equalize, segment, measure",
    "features": "feature maps",
    "epoch": "an epoch of the head",
    "audit": "audit: leaks, confounds, shortcuts, inflation, with features of its own",
    "bootstrap": "bootstrap over patients, 2,000 resamples",
}
AIM = 1.05
WHY = {
    "audit": "the linear probes are fitted to the end, by more steps the more cells there are: "
    "their penalty weighs less",
    "bootstrap": "up to 500 groups a table of groups against groups is faster than what grows "
    "linearly, which takes over at the last size",
}


def measure(*, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """One row for the growth of each step, one for memory."""
    found = [run(size) for size in sizes]
    rows = [growth_row(step, sizes, [each["seconds"][step] for each in found]) for step in STEPS]
    return [*rows, memory_row(sizes, [each["peak_mb"] for each in found])]


def growth_row(step: str, sizes: tuple[int, ...], seconds: list[float]) -> Row:
    """The slope of log time against log number, fitted to all sizes."""
    slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    last = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
    shown = ", ".join(show_seconds(each) for each in seconds)
    return Row(
        what=f"growth, {sizes[0]:,} to {sizes[-1]:,} cells: {STEPS[step]}",
        reference=f"{shown}; last step alone {last:.2f}",
        figure=slope,
        unit="exponent",
        aim=AIM,
        at_most=True,
        ours=Timing([seconds[-1]]),
        why=WHY.get(step, ""),
    )


def memory_row(sizes: tuple[int, ...], peaks: list[float]) -> Row:
    """The largest ratio of peaks between neighbouring sizes."""
    worst = max(b / a for a, b in itertools.pairwise(peaks))
    shown = ", ".join(f"{peak:.0f} MB" for peak in peaks)
    return Row(
        what="memory of the process, collect to epoch, ten times the images",
        reference=f"peaks at {', '.join(f'{size:,}' for size in sizes)} cells: {shown}",
        figure=worst,
        unit="× the memory",
        aim=1.2,
        at_most=True,
        limit="pages of the cache's file, which the kernel drops as it likes, are not counted",
    )


def run(size: int) -> dict[str, Any]:
    """{seconds: step -> seconds, peak_mb} of one size, in a fresh process with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        answer = subprocess.run(
            [sys.executable, "-m", "scripts.bench.growth", str(size)],
            env={**os.environ, "OADLS_CACHE_DIR": cache},
            capture_output=True,
            text=True,
        )
    if answer.returncode:
        raise RuntimeError(f"growth of {size}: {answer.stderr[-2000:]}")
    return json.loads(answer.stdout.splitlines()[-1])


def run_here(size: int) -> dict[str, Any]:
    """The steps of one size, timed one after another."""
    from oadls.audit import audit
    from oadls.data.collect import collect
    from oadls.data.table import Cells
    from oadls.experiment import Experiment, build
    from oadls.pipeline import PreparedCells
    from oadls.training import quiet
    from scripts.bench.config import composed

    quiet()
    patients = [f"data.patients={size // PER_PATIENT}"]
    config = composed("train", *SETTINGS, *patients)
    audited = composed("audit", *SETTINGS, *patients)
    source = build(config.data.source)
    source()  # draws the cells
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[step] = time.perf_counter() - start

    with peak_memory() as memory, tempfile.TemporaryDirectory() as folder:
        with timed("collect"):
            cells = collect(source, max_bad=0)
        prepared = PreparedCells(build(config.pipeline)())
        with timed("prepare"):
            prepared.fill(cells.table)
        table = prepared.measured(cells.table)
        experiment = Experiment(config, Cells(table, cells.excluded), prepared)
        network = experiment.network(seed=0)
        sides = experiment.sides(experiment.splits()[0])
        with timed("features"):
            data = experiment.data(sides, network.backbone)
        with timed("epoch"):
            train_epoch(experiment, network, data, Path(folder))
    with tempfile.TemporaryDirectory() as folder, timed("audit"):
        audit(audited, Path(folder))
    with timed("bootstrap"):
        bootstrap(table, experiment.labels, experiment.classes)
    return {"seconds": seconds, "peak_mb": memory[0]}


def train_epoch(experiment: Any, network: Any, data: Any, folder: Path) -> None:
    """One epoch of training and validation through the Trainer."""
    from oadls.training import make_classifier, make_trainer

    model = make_classifier(experiment, network, {"classes": experiment.classes})
    trainer = make_trainer(
        experiment.config.trainer,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(model, data)


def bootstrap(table: Any, labels: np.ndarray, classes: list[str]) -> None:
    """Intervals of every score of random predictions."""
    from oadls.statistics import group_intervals

    score = np.random.default_rng(0).random(len(labels))
    probabilities = np.stack([score, 1 - score], axis=1)
    group_intervals(labels, probabilities, table["group"].to_numpy(str), classes=classes)


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The highest anonymous memory of this process in MB, looked at every 20 ms."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def anonymous_mb() -> float:
    """Memory that only this process holds: not the pages of mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    print(json.dumps(run_here(int(sys.argv[1]))))
