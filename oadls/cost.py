"""python -m oadls.cost folder=RUN: what a trained row of Table 3 costs, into its cost.json.

Seconds begin with the prepared picture, in the cache as it is for every row, and end with the
probability: crop, views, features, decision, without any cache between them. They are those of the
threads that the command has, and are worth something where nothing else runs.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from oadls.commands import run_command
from oadls.errors import UserError
from oadls.experiment import Experiment
from oadls.fitted import Fitted, fitted_of
from oadls.publish import publish_text
from oadls.run_folder import RunFolder
from oadls.streams import speak_utf8
from oadls.training import quiet
from oadls.trust import check_entry

USAGE = "usage: python -m oadls.cost folder=RUN"
CELLS, REPEATS = 32, 3


def measure_run(folder: Path) -> dict[str, Any]:
    """Measure the first fold's model of a finished run and write cost.json, which is returned.

    returns parameters, trained, multiply_adds (of one cell in all its test views, None where
        features are handcrafted), test_views, inference_seconds and training_seconds (per 1,000
        cells), cells and repeats that were measured, threads
    raises UserError for a folder without a finished run
    """
    home = RunFolder(folder)
    if not home.metrics or not home.fit_names:
        raise UserError(f"cost: {folder} holds no finished run (folds)")
    experiment = Experiment.open(home.config)
    first = home.fit_names[0]
    if entry := home.facts_of(first).get("tuned"):
        check_entry(entry, folder / "folds" / f"{first}.json")
        experiment = experiment.tuned(entry)  # what validation chose in that fold
    keys = experiment.table["pixels_sha256"].unique()
    keys = keys[np.linspace(0, len(keys) - 1, min(CELLS, len(keys))).astype(int)]
    with fitted_of(experiment, folder) as fitted:
        look, decide = seconds_a_cell(fitted, keys.tolist())
    found = {
        **fitted.size,
        "test_views": fitted.test_views,
        "inference_seconds": 1000 * (look + decide),
        "training_seconds": training_seconds(
            folder, looking=look / fitted.test_views * fitted.kept_views
        ),
        "cells": len(keys),
        "repeats": REPEATS,
        "threads": torch.get_num_threads(),
    }
    publish_text(folder / "cost.json", json.dumps(found, indent=2))
    return found


def seconds_a_cell(fitted: Fitted, keys: list[str], repeats: int = REPEATS) -> tuple[float, float]:
    """Seconds to look at a cell in all its test views, and to decide: medians of the repeats."""
    fitted.decide(fitted.look(keys[:1]))  # what is done once, before the first cell
    looks, decisions = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        features = fitted.look(keys)
        middle = time.perf_counter()
        fitted.decide(features)
        looks.append(middle - start)
        decisions.append(time.perf_counter() - middle)
    return median(looks) / len(keys), median(decisions) / len(keys)


def training_seconds(folder: Path, *, looking: float) -> float | None:
    """Seconds to fit 1,000 training cells, the mean over the folds; None where none were taken.

    looking : seconds a training cell for features that are cached, and not in the fold's own
    """
    seconds, cells, home = 0.0, 0, RunFolder(folder)
    for name in home.fit_names:
        facts = home.facts_of(name)
        trained = int((home.sides_of(name) == "train").sum())
        if facts.get("seconds") is None or not trained:
            return None
        seconds += facts["seconds"] + looking * trained
        cells += trained
    return 1000 * seconds / cells if cells else None


def main(arguments: list[str]) -> int:
    quiet()
    return run_command(
        lambda settings: measure_run(Path(settings["folder"])),
        arguments,
        usage=USAGE,
        takes=lambda settings: set(settings) == {"folder"},
    )


if __name__ == "__main__":
    speak_utf8()
    raise SystemExit(main(sys.argv[1:]))
