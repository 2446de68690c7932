"""python -m oadls.audit data=NAME [+experiment=NAME]: why a score on these cells may be too good.

Exit status 0: nothing found; 1: findings; 2: could not run.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from oadls.baselines.floors import pooled_features, probe
from oadls.commands import command
from oadls.data.collect import duplicate_pairs
from oadls.data.split import Split, grouped_kfold, image_kfold
from oadls.errors import UserError
from oadls.experiment import Experiment, build, list_cells
from oadls.features import Views
from oadls.leakage.background import disc_radius, hide_cell, no_background
from oadls.leakage.confounds import confounds
from oadls.leakage.copies import duplicates
from oadls.leakage.finding import Finding, Outcome
from oadls.leakage.identity import two_sides
from oadls.leakage.inflation import inflation, patients_known
from oadls.leakage.shortcuts import shortcuts
from oadls.leakage.trial import Trial
from oadls.pipeline import PreparedCells
from oadls.report.audit import print_audit, save_audit

FOLDS: dict[str, Any] = {"folds": 5, "val": 0.2}  # for a split that has no folds of its own
NO_IMAGES = "near-duplicates, size and surround of images, shortcuts, inflation: no images"


class Found(SystemExit):
    """There are findings: exit status 1. Every other unhappy end is 2, Hydra's own included."""


def audit(cfg: DictConfig, folder: Path) -> list[Finding]:
    """Run every check that the data allow, save what was found with its evidence, print it."""
    experiment = open_cells(cfg)
    table = experiment.table
    pairs = duplicate_pairs(table, bits=experiment.prepared.bits)
    outcomes = [
        check_sides(experiment, pairs),
        duplicates(table, pairs),
        confounds(table, experiment.classes, seed=cfg.seed),
        *check_models(experiment),
    ]
    save_audit(experiment, outcomes, folder)
    print_audit(experiment, outcomes, folder)
    return [finding for outcome in outcomes for finding in outcome.findings]


def open_cells(cfg: DictConfig) -> Experiment:
    """The experiment, prepared; a data set without images is only listed."""
    if cfg.data.get("images", True):
        return Experiment.open(cfg)
    prepared = PreparedCells(build(cfg.pipeline)(), bits=cfg.data.get("bits"))
    return Experiment(cfg, list_cells(cfg), prepared)


def check_sides(experiment: Experiment, pairs: pd.DataFrame) -> Outcome:
    """The experiment's own splits: looked at where training would refuse them."""
    config, table = experiment.config, experiment.table
    if table["label"].isna().all():
        return Outcome(not_done=["two sides: no cell has a label, so there is no split"])
    return two_sides(table, build(config.split)(table, seed=config.split_seed), pairs)


def check_models(experiment: Experiment) -> list[Outcome]:
    """Shortcut classifiers, and one model by image and by patient."""
    table = experiment.table
    if not experiment.config.data.get("images", True):
        return [Outcome(not_done=[NO_IMAGES])]
    try:
        by_patient, by_image = (trial(experiment, rule) for rule in (grouped_kfold, image_kfold))
    except UserError as error:  # too few labels or patients
        return [Outcome(not_done=[f"shortcuts, inflation: {error}"])]
    features, reason = pooled_features(experiment), no_background(table)
    background = None if reason else background_features(experiment)
    found, probabilities = shortcuts(by_patient, table, picture=features, background=background)
    outcomes = [found, Outcome(not_done=[f"background: {reason}"] if reason else [])]
    if not patients_known(table["group"].to_numpy(), table["patient"].to_numpy()):
        return [*outcomes, Outcome(not_done=["inflation: cannot be measured: no patients"])]
    pretended = by_image.predict(probe, features)
    return [*outcomes, inflation(by_patient, by_patient=probabilities, by_image=pretended)]


def trial(experiment: Experiment, rule: Any) -> Trial:
    """The folds of the experiment, or of `FOLDS`, dealt by a rule; UserError where none can be."""
    config, table = experiment.config, experiment.table
    settings = {key: config.split[key] for key in FOLDS} if "folds" in config.split else FOLDS
    splits: list[Split] = rule(table, seed=config.seed, **settings)
    sides = [experiment.sides(split) for split in splits]
    if any(table["label"][side == "train"].nunique() < 2 for side in sides):
        raise UserError(f"split {splits[0].protocol}: a training side has one class only")
    groups = table["group"].to_numpy()
    return Trial(experiment.labels, groups, experiment.classes, sides)


def background_features(experiment: Experiment) -> np.ndarray:
    """(N, C) frozen features of everything but the cell."""
    config = experiment.config
    size, radius = config.model.backbone.size, disc_radius(experiment.table)
    crop = partial(hide_cell, radius=radius, size=size)
    views = Views(experiment.prepared, crop=crop, augment=build(config.augment))
    return pooled_features(experiment, views=views)


@command("audit")
def main(cfg: DictConfig) -> None:
    if audit(cfg, Path(HydraConfig.get().runtime.output_dir)):
        raise Found(1)


if __name__ == "__main__":
    try:
        main()
    except Found:
        raise
    except SystemExit as stop:
        raise SystemExit(2 if stop.code else 0) from None
