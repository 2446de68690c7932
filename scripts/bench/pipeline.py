"""From a file to the filtered, equalized picture and its mask."""

import cProfile
import functools
import multiprocessing
import os
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from scipy import fft
from threadpoolctl import threadpool_limits

from oadls.data.collect import inspect_all
from oadls.data.read import read_image
from oadls.experiment import build
from oadls.pipeline import Pipeline, PreparedCells
from oadls.segment.score import dice
from scripts.bench.config import composed
from scripts.bench.pictures import image_files
from scripts.bench.reference import reference_stages
from scripts.bench.table import Row, Timing, alternate, ratio, show_seconds

CELLS = ("c_nmc", "data.parts=[fold_1]")  # 450 × 450 px, cut out
SMEARS = ("all_idb2",)  # 257 × 257 px, whole
AGREE = 0.995  # least mean Dice of a mask with that of the reference


def measure() -> list[Row]:
    """One core against scikit-image and against the floor, then all cores."""
    return [*one_core(CELLS), *one_core(SMEARS)[:1], all_cores()]


def default_pipeline() -> Pipeline:
    """The pipeline of the default config."""
    pipeline: Pipeline = build(composed("prepare").pipeline)()
    return pipeline


def one_core(data: tuple[str, ...], *, number: int = 30, repeats: int = 3) -> list[Row]:
    """Filter, equalize and segment, without any thread but this one."""
    files = image_files(*data, number=number)
    images = [read_image(file) for file in files]
    stages = default_pipeline().stages
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            checks = agreement(stages, images)
            timings = alternate(
                {
                    "ours": functools.partial(for_all, stages, images),
                    "reference": functools.partial(for_all, reference_stages, images),
                    "floor": functools.partial(for_all, floor, files),
                },
                repeats=repeats,
            )
    finally:
        cv2.setNumThreads(threads)
    ours, reference, least = (
        Timing([seconds / number for seconds in timings[name].seconds])
        for name in ("ours", "reference", "floor")
    )
    height, width, _ = images[0].shape
    what = f"filter, equalize and segment one {width} × {height} cell of {data[0]}, one core"
    return [
        Row(
            what=what,
            reference="the same steps in scikit-image and SciPy",
            figure=ratio(reference, ours),
            unit="× faster",
            aim=20,
            ours=ours,
            theirs=reference,
            checks=checks,
            limit=f"the floor, decoding and two FFTs a channel, takes {show_seconds(least.median)}",
            why=f"20 times would be {show_seconds(reference.median / 20)}, "
            f"{reference.median / 20 / least.median:.1f} × the floor; of ours "
            f"{profile(images)}",
        ),
        Row(
            what=what,
            reference="decoding it and two FFTs a channel",
            figure=ratio(ours, least),
            unit="× the time",
            aim=3,
            at_most=True,
            ours=ours,
            theirs=least,
        ),
    ]


def profile(images: list[np.ndarray], *, shown: int = 8) -> str:
    """The functions in which the time goes, as shares of the whole, with one thread."""
    stages = default_pipeline().stages
    profiler = cProfile.Profile()
    profiler.runcall(for_all, stages, images)
    entries = pstats.Stats(profiler).get_stats_profile().func_profiles
    whole = sum(entry.tottime for entry in entries.values())
    largest = sorted(entries.items(), key=lambda item: -item[1].tottime)[:shown]
    shares = [f"{_plain(name)} {entry.tottime / whole:.0%}" for name, entry in largest]
    return ", ".join(shares)


def _plain(name: str) -> str:
    """ "partition" from "<method 'partition' of 'numpy.ndarray' objects>" and the like."""
    if " of " in name:
        return name.split("'")[1]
    return name.strip("<>{}").split()[-1].rsplit(".", 1)[-1]


def for_all(step, items) -> None:
    """The step on every item."""
    for item in items:
        step(item)


def floor(file: Path) -> None:
    """What no pipeline with a Wiener filter can do without."""
    planes = np.moveaxis(read_image(file), 2, 0).astype(np.float32)
    for plane in planes:
        fft.irfft2(fft.rfft2(plane), s=plane.shape)


def agreement(stages, images: list[np.ndarray]) -> dict[str, bool]:
    """Mean Dice of nucleus and cell with the reference, and how far the pictures are apart."""
    scores: dict[str, list[float]] = {"nucleus": [], "cell": []}
    apart = []
    for image in images:
        ours, (picture, mask) = stages(image), reference_stages(image)
        scores["nucleus"].append(dice(ours.mask == 255, mask == 255))
        scores["cell"].append(dice(ours.mask > 0, mask > 0))
        apart.append(np.abs(ours.enhanced.astype(int) - picture).mean())
    checks = {
        f"mean Dice of the {part} with the reference {np.mean(found):.4f}, limit {AGREE}": bool(
            np.mean(found) >= AGREE
        )
        for part, found in scores.items()
    }
    mean = float(np.mean(apart))
    return checks | {f"pictures differ by {mean:.2f} of 255 in the mean, limit 1": mean <= 1}


def all_cores(*, number: int = 2400, repeats: int = 2) -> Row:
    """Fill an empty cache from files, by one core and by all of them."""
    table = cell_table(number)
    every = sorted(os.sched_getaffinity(0))
    runs = {
        "one": functools.partial(fill, table, every[:1]),
        "all": functools.partial(fill, table, every),
    }
    timings = alternate(runs, repeats=repeats, warm=0)
    return Row(
        what=f"prepare {number} cells of {CELLS[0]} on {len(every)} cores, files to cache",
        reference="one core",
        figure=ratio(timings["one"], timings["all"]) / len(every),
        unit="× the number of cores",
        aim=0.9,
        ours=timings["all"],
        theirs=timings["one"],
        limit=scaling(image_files(*CELLS, number=200), every),
    )


def cell_table(number: int) -> pd.DataFrame:
    """Paths and hashes, as `PreparedCells.fill` asks for them."""
    files = [str(file) for file in image_files(*CELLS, number=number)]
    facts, _ = inspect_all(files)
    return facts[["pixels_sha256"]].assign(path=files)


def fill(table: pd.DataFrame, allowed: list[int]) -> None:
    """The whole of `PreparedCells.fill`, the start of its processes included."""
    before = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OADLS_CACHE_DIR"] = folder
        os.sched_setaffinity(0, allowed)
        try:
            PreparedCells(default_pipeline()).fill(table)
        finally:
            os.sched_setaffinity(0, before)
            get_reusable_executor().shutdown()


def scaling(files: list[Path], allowed: list[int]) -> str:
    """What processes that share nothing but the machine reach with the same work."""
    context = multiprocessing.get_context("spawn")
    slowest = []
    for cores in (allowed[:1], allowed):
        start, seconds = context.Barrier(len(cores)), context.SimpleQueue()
        processes = [
            context.Process(target=_alone, args=(files, core, start, seconds)) for core in cores
        ]
        for process in processes:
            process.start()
        slowest.append(max(seconds.get() for _ in processes))
    return (
        "processes that share nothing, one a core, reach "
        f"{slowest[0] / slowest[1]:.2f} × the number of cores: what is missing, the cores share"
    )


def _alone(files: list[Path], core: int, start: Any, seconds: Any) -> None:
    """Time the pipeline on one core, beginning when the others do."""
    os.sched_setaffinity(0, [core])
    pipeline = default_pipeline()
    pipeline(read_image(files[0]))
    start.wait()
    began = time.perf_counter()
    for file in files:
        pipeline(read_image(file))
    seconds.put(time.perf_counter() - began)
