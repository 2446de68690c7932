"""A scikit-learn estimator in the place of a network, by the same rules."""

import inspect
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from oadls.baselines.floors import probabilities_by
from oadls.baselines.keep import ENDING, write_estimator
from oadls.data.split import Split
from oadls.errors import UserError
from oadls.experiment import Experiment, build
from oadls.metrics import fitness, scores
from oadls.ranks import world
from oadls.run import SIDES, Fit, prediction_rows, probabilities_of
from oadls.run_folder import RunFolder


def fit_estimator(experiment: Experiment, split: Split, folder: Path, *, test: bool) -> Fit:
    """Fit on the training side, score validation, predict every cell.

    The fitted estimator is kept in folder/checkpoints (see `keep`).

    test : false leaves the test part alone: only validation is predicted
    raises UserError when the training side has one class, or there are several devices
    """
    if world() > 1:
        raise UserError("trainer: an estimator of scikit-learn is fitted on one device")
    cfg, labels, sides = experiment.config, experiment.labels, experiment.sides(split)
    train = sides == "train"
    if len(np.unique(labels[train])) < 2:
        raise UserError(f"split {split.name}: its training side has cells of one class")
    numbers = experiment.inputs.read()  # (N, D)
    weight = None if cfg.training.balance == "none" else "balanced"
    estimator = build(cfg.model.estimator)(class_weight=weight, seed=cfg.seed + split.repeat)
    start = time.perf_counter()
    with threadpool_limits(1):  # small problems: threads wait for each other
        estimator.fit(numbers[train], labels[train], **_groups(estimator, experiment, train))
    seconds = time.perf_counter() - start
    checkpoint = folder / "checkpoints" / f"{split.name}{ENDING}"
    write_estimator(estimator, checkpoint)
    if test:
        RunFolder(folder).note_test(split.name)
    else:
        sides[sides != "val"] = ""
    predictions = predict_estimator(experiment, estimator, sides)
    val = predictions[predictions["side"] == "val"]
    found = scores(val["label"].to_numpy(), probabilities_of(val), classes=experiment.classes)
    return Fit(
        split.name,
        split.fold,
        split.repeat,
        predictions,
        pd.DataFrame(),
        fitness(found["precision"], found["f1"]),
        checkpoint,
        seconds,
    )


def predict_estimator(experiment: Experiment, estimator: Any, sides: np.ndarray) -> pd.DataFrame:
    """What an estimator says of the cells that are on a side, as `Fit.predictions`.

    sides : (N,) str, "train", "val", "test" or "" for each row of the table
    """
    numbers, parts = experiment.inputs.read(), []
    for side in SIDES:
        rows = np.flatnonzero(sides == side)
        if len(rows):
            found = probabilities_by(estimator, numbers[rows], number=len(experiment.classes))
            parts.append(prediction_rows(rows, side, experiment.labels[rows], found))
    return pd.concat(parts, ignore_index=True)


def _groups(estimator: Any, experiment: Experiment, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Whose cells these are, for an estimator that searches by patients of its own."""
    if "groups" not in inspect.signature(estimator.fit).parameters:
        return {}
    return {"groups": experiment.table["group"].to_numpy()[rows]}
