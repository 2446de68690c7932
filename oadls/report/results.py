"""The files of a run: metrics.json, predictions.csv, history.csv, cells.csv, figures, ..."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oadls.baselines.floors import floor_probabilities
from oadls.data.split import Split
from oadls.experiment import Experiment
from oadls.metrics import scores
from oadls.report.figures import plot_confusion, plot_history
from oadls.report.terminal import print_summary
from oadls.statistics import group_intervals
from oadls.training import Fit, probabilities_of

Metrics = dict[str, Any]


def report_run(experiment: Experiment, fits: list[Fit], folder: Path, protocol: Split) -> Metrics:
    """Write everything that a finished run leaves behind, and print its summary.

    protocol : any of the run's splits, for its name and whether it is by image
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, classes = experiment.table, experiment.classes
    pooled = pd.concat([fit.predictions.assign(fold=fit.fold) for fit in fits])
    test = pool_members(pooled[pooled["side"] == "test"])
    predictions = prediction_table(test, table, classes)
    metrics = {
        "experiment": experiment.config.name,
        "protocol": protocol.protocol,
        "by_image": protocol.by_image,
        "classes": classes,
        "patients": int(table["patient"].nunique()),
        "excluded": len(experiment.cells.excluded),
        "pretrained": experiment.config.model.backbone.weights != "random",
        **{side: side_scores(pooled, side, classes) for side in _other_sides(pooled)},
        "test": scored_with_interval(test, table, classes),
        "folds": [fold_scores(part, classes) for _, part in pooled.groupby("fold")],
    }
    if experiment.config.floors:
        metrics["floors"] = score_floors(experiment, fits, folder)
    predictions.to_csv(folder / "predictions.csv", index=False)
    table.drop(columns="phash").to_csv(folder / "cells.csv", index=False)
    experiment.cells.excluded.to_csv(folder / "excluded.csv", index=False)
    history = pd.concat([fit.history.assign(network=fit.name) for fit in fits])
    if len(history):
        history.to_csv(folder / "history.csv", index=False)
        plot_history(history, folder / "figures" / "curves")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2, allow_nan=False))
    plot_confusion(metrics["test"]["confusion_matrix"], classes, folder / "figures" / "confusion")
    print_summary(metrics, experiment.cells.excluded, folder)
    return metrics


def pool_members(test: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: the mean over the networks that had the cell on their test side."""
    mean = test.groupby("row", as_index=False).mean(numeric_only=True)
    return mean.astype({"label": int, "fold": int})


def prediction_table(test: pd.DataFrame, table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """One row a cell: path, patient, group, part, fold, label, predicted, prob_<class>."""
    cells = table.iloc[test["row"]].reset_index(drop=True)
    probabilities = probabilities_of(test)
    result = cells[["path", "patient", "group", "part"]].copy()
    result["fold"] = test["fold"].to_numpy()
    result["label"] = cells["label"]
    result["predicted"] = np.array(classes)[probabilities.argmax(axis=1)]
    for k, name in enumerate(classes):
        result[f"prob_{name}"] = probabilities[:, k]
    return result


def side_scores(pooled: pd.DataFrame, side: str, classes: list[str]) -> Metrics:
    """Scores of one side, over all folds that the predictions hold."""
    part = pooled[pooled["side"] == side]
    return scores(part["label"].to_numpy(), probabilities_of(part), classes=classes)


def fold_scores(part: pd.DataFrame, classes: list[str]) -> Metrics:
    """Scores of every side of one fold."""
    test = pool_members(part[part["side"] == "test"])
    found = {side: side_scores(part, side, classes) for side in _other_sides(part)}
    return {
        **found,
        "test": scores(test["label"].to_numpy(), probabilities_of(test), classes=classes),
    }


def _other_sides(pooled: pd.DataFrame) -> list[str]:
    """Training and validation, where there are predictions of them."""
    return [side for side in ("train", "val") if (pooled["side"] == side).any()]


def scored_with_interval(test: pd.DataFrame, table: pd.DataFrame, classes: list[str]) -> Metrics:
    """Scores with intervals that resample patients (groups of images where none are known)."""
    labels, probabilities = test["label"].to_numpy(), probabilities_of(test)
    groups = table["group"].to_numpy()[test["row"]]
    found = scores(labels, probabilities, classes=classes)
    found["uncertainty"] = group_intervals(labels, probabilities, groups, classes=classes)
    if table["patient"].iloc[test["row"]].isna().any():
        found["uncertainty"]["unit"] = "an image with its duplicates: patients are not recorded"
    else:
        found["uncertainty"]["unit"] = "a patient with all who share an image"
    return found


def score_floors(experiment: Experiment, fits: list[Fit], folder: Path) -> dict[str, Metrics]:
    """Out-of-fold scores of every trivial baseline; its probabilities go to floors.csv."""
    classes, sides = experiment.classes, [_sides(experiment, fit) for fit in fits]
    rows = np.concatenate([np.flatnonzero(side == "test") for side in sides])
    found, columns = {}, {}
    for name, per_fit in floor_probabilities(experiment, sides).items():
        test = pd.DataFrame({"row": rows, "label": experiment.labels[rows], "fold": 0})
        for k, column in enumerate(np.concatenate(per_fit).T):
            test[f"probability_{k}"] = column
        test = pool_members(test)
        columns["path"] = experiment.table["path"].to_numpy()[test["row"]]
        for k, label in enumerate(classes):
            columns[f"{name}_prob_{label}"] = test[f"probability_{k}"].to_numpy()
        found[name] = scored_with_interval(test, experiment.table, classes)
    pd.DataFrame(columns).to_csv(folder / "floors.csv", index=False)
    return found


def _sides(experiment: Experiment, fit: Fit) -> np.ndarray:
    """(N,) str, the side of each row of the table in a fit."""
    side = np.full(len(experiment.table), "", dtype="<U5")
    side[fit.predictions["row"]] = fit.predictions["side"]
    return side
