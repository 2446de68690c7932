"""The best trial and the defaults, trained anew over seeds and tested once on the same cells."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from oadls.comparison import compare_paired, stack
from oadls.errors import UserError
from oadls.experiment import Experiment
from oadls.metrics import scores
from oadls.run_folder import RunFolder
from oadls.statistics import group_intervals
from oadls.sweep.folder import Sweep
from oadls.train import train_in

TESTED = "tested"  # folder of the runs below
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arm:
    """The runs of one choice of hyper-parameters: for each seed those of all outer folds.

    runs : folders, [seed][outer fold]
    """

    runs: list[list[Path]]

    @cached_property
    def metrics(self) -> list[list[dict[str, Any]]]:
        """metrics.json of each run."""
        return [[RunFolder(run).metrics for run in of] for of in self.runs]

    @cached_property
    def predictions(self) -> list[pd.DataFrame]:
        """predictions.csv of each seed, the outer folds one after another."""
        return [pd.concat([RunFolder(run).predictions for run in of]) for of in self.runs]

    @property
    def classes(self) -> list[str]:
        """In the order of the probabilities."""
        return self.metrics[0][0]["classes"]

    @property
    def validation(self) -> float:
        """Macro precision on validation, the mean over seeds and outer folds."""
        return float(np.mean([m["val"]["precision"] for of in self.metrics for m in of]))


@dataclass(frozen=True)
class Confirmation:
    """What a search was worth on cells that it had not seen."""

    tuned: Arm
    defaults: Arm

    @property
    def unit(self) -> str:
        """What the intervals resample."""
        return self.tuned.metrics[0][0]["test"]["uncertainty"]["unit"]

    @cached_property
    def stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Labels, tuned and default probabilities, groups: each cell once a seed."""
        pairs = list(zip(self.tuned.predictions, self.defaults.predictions, strict=True))
        return stack(pairs, classes=self.tuned.classes)

    @cached_property
    def difference(self) -> dict[str, Any]:
        """Tuned less defaults (see `compare_paired`)."""
        return compare_paired(*self.stacked, classes=self.tuned.classes)

    @cached_property
    def tests(self) -> list[dict[str, Any]]:
        """Scores of tuned and of defaults, all seeds together, with intervals over patients."""
        labels, *both, groups = self.stacked
        classes = self.tuned.classes
        return [
            {
                **scores(labels, probabilities, classes=classes),
                "intervals": group_intervals(labels, probabilities, groups, classes=classes)[
                    "intervals"
                ],
            }
            for probabilities in both
        ]


def confirm(sweep: Sweep, *, seeds: int) -> Confirmation:
    """Train what is missing of best trial and defaults over the seeds, and read all of it."""
    tuned: list[list[Path]] = [[] for _ in range(seeds)]
    default: list[list[Path]] = [[] for _ in range(seeds)]
    for search in sweep.searches:
        chosen = f"trial-{search.best.number}"
        for seed in range(seeds):
            for arm, name, config in (
                (default, "defaults", sweep.defaults),
                (tuned, chosen, search.config_of(search.best)),
            ):
                run = search.folder / TESTED / name / f"seed_{seed}"
                _train(_for_test(config, seed=seed, fold=search.fold), run, search.cells)
                arm[seed].append(run)
    return Confirmation(Arm(tuned), Arm(default))


def _for_test(config: DictConfig, *, seed: int, fold: int | None) -> DictConfig:
    """The settings of a trial, to be trained to the end with another seed and tested.

    Their split_seed is a number by now: the cells stay on their sides.
    """
    changed: dict[str, Any] = {
        "seed": config.seed + seed,
        "fold": fold,
        "test": True,
        "floors": True,
        "trial": 0,
        "pruner": None,
        "logger": {
            "_target_": "pytorch_lightning.loggers.CSVLogger",
            "_partial_": True,
            "name": "logs",
        },
    }
    kept = OmegaConf.masked_copy(config, [str(key) for key in config if key not in changed])
    return DictConfig(OmegaConf.merge(kept, changed))


def _train(config: DictConfig, folder: Path, cells: str | None) -> None:
    """Train into a folder unless that is done; UserError for other cells than the search had.

    cells : data_fingerprint of the search, None where it has noted none
    """
    file = folder / "metrics.json"
    done = file.is_file()
    home = RunFolder(folder)
    found = home.metrics["data_fingerprint"] if done else Experiment.open(config).fingerprint
    if cells not in (None, found):
        raise UserError(
            f"sweep: the search had cells with data_fingerprint {cells}, "
            f"{folder if done else 'now they have'} {found}: some that it chose by may be tested; "
            "bring the images and labels back as they were"
        )
    if not done:
        log.info("training %s", folder)
        train_in(folder, config)


def touched(sweep: Sweep) -> Sequence[str]:
    """The trials whose networks have been tested so far: each look at the test part costs."""
    found = {
        run.name for search in sweep.searches for run in (search.folder / TESTED).glob("trial-*")
    }
    return sorted(found)
