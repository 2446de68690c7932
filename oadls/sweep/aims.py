"""What a sweep may rank its trials by: validation precision, and the time that a cell takes."""

import time
from collections.abc import Sequence

import numpy as np
import torch

from oadls.experiment import Experiment
from oadls.model.engine import trunk_on
from oadls.run import Run

CELLS, REPEATS = 16, 5


def aims_of(names: Sequence[str], run: Run) -> dict[str, float]:
    """The values of a trial by name, in the order of hydra.sweeper.direction.

    names : "fitness", the mean best validation fitness of the networks (eqs 10-11), and "seconds",
        from pictures to probabilities of 1,000 cells, all their test views included
    """
    ways = {
        "fitness": lambda: run.fitness,
        "seconds": lambda: inference_seconds(run.experiment),
    }
    return {name: ways[name]() for name in names}


def inference_seconds(experiment: Experiment) -> float:
    """Seconds that trunk and head take for 1,000 cells on the trainer's device: median of runs."""
    network = experiment.network(seed=experiment.config.seed).eval()
    device = experiment.device
    keys = experiment.table["pixels_sha256"].iloc[:CELLS]
    pictures = np.stack([experiment.views.picture(key) for key in keys])  # (B, S, S, 3)
    with trunk_on(device, network.backbone) as trunk, torch.inference_mode():
        network.to(device)
        seconds = []
        for _ in range(1 + REPEATS):
            start = time.perf_counter()
            maps = tuple(torch.from_numpy(each).to(device) for each in trunk(pictures))
            network.classify(maps).cpu()
            seconds.append(time.perf_counter() - start)
    each = float(np.median(seconds[1:])) / len(pictures)  # the first run warms up
    return 1000 * each * experiment.config.training.test_views
