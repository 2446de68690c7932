"""The files of a run: metrics.json, predictions.csv, history.csv, cells.csv, report.html."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oadls.baselines.floors import floor_probabilities
from oadls.calibration import brier, expected_calibration_error
from oadls.experiment import Experiment
from oadls.metrics import scores
from oadls.operating import Operating, operate
from oadls.patients import patient_scores, patient_table
from oadls.publish import publish_all, publish_table, publish_text
from oadls.report.terminal import print_summary
from oadls.run import Fit, Run, pool_networks, prediction_rows, probabilities_of, sides_of
from oadls.statistics import group_intervals

Metrics = dict[str, Any]
HEADLINE = ("precision", "auroc", "accuracy", "sensitivity", "specificity", "f1")


def report_run(
    run: Run,
    *,
    page: bool,
    against: Run | None = None,
    floors: dict[str, pd.DataFrame] | None = None,
) -> Metrics:
    """Write everything that a finished run leaves behind, and print its summary.

    All of it is put in its place at the end, metrics.json last; a failure leaves what was there.

    page : also report.html with its figures and tables
    against : another run to compare with, cell by cell, in the page
    floors : as `score_floors` makes them; made now by default, where the config asks for them
    """
    if floors is None:
        floors = score_floors(run) if run.experiment.config.floors else {}
    operating = operate_run(run)
    metrics = score_run(run, floors, operating)
    with publish_all(run.folder, last=("report.html", "metrics.json")) as draft:
        write_tables(run, floors, draft)
        if page:
            from oadls.report.page import write_report  # heavy, and a sweep's trials need none

            write_report(run, metrics, floors, operating, against, folder=draft)
        publish_text(draft / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False))
    print_summary(metrics, run.experiment.cells.excluded, run.folder)
    return metrics


def operate_run(run: Run) -> Operating | None:
    """What validation sets, with the config's wishes."""
    config = run.experiment.config
    return operate(
        run, sensitivity=config.get("sensitivity", 0.95), coverage=config.get("coverage", 0.9)
    )


def score_run(run: Run, floors: dict[str, pd.DataFrame], operating: Operating | None) -> Metrics:
    """Everything that is a number."""
    metrics: Metrics = {
        "experiment": run.experiment.config.name,
        "protocol": run.protocol,
        "by_image": run.by_image,
        "networks": [fit.name for fit in run.fits],
        "withheld": run.withheld,
        "classes": run.classes,
        "positive": None if run.positive is None else run.classes[run.positive],
        "data_fingerprint": run.experiment.fingerprint,
        "patients": int(run.table["patient"].nunique()),
        "excluded": len(run.experiment.cells.excluded),
        "pretrained": pretrained(run),
        **{side: side_scores(run.side(side), run.classes) for side in _other_sides(run)},
        "test": scored_with_interval(run.test, run.table, run.classes),
        "folds": [
            {"repeat": fit.repeat, "fold": fit.fold, **fold_scores(part, run.classes)}
            for fit, part in folds_of(run)
        ],
        "repeats": [
            side_scores(pool_networks(part), run.classes)
            for _, part in run.side("test").groupby("repeat")
        ],
    }
    metrics["headline"] = None if metrics["withheld"] else headline(metrics["test"])
    if floors:
        metrics["floors"] = {
            name: scored_with_interval(test, run.table, run.classes)
            for name, test in floors.items()
        }
    if run.patients_known:
        decisions = patient_scores(patients_of(run), positive=metrics["positive"])
        decisions = decisions.astype(object).where(decisions.notna(), None)
        metrics["patient_decisions"] = decisions.to_dict("records")
    metrics["calibration"] = calibration_scores(run, operating)
    return metrics


def pretrained(run: Run) -> bool | None:
    """Whether weights were learned before; None where there is no backbone."""
    backbone = run.experiment.config.model.backbone
    return None if backbone is None else backbone.weights != "random"


def headline(test: Metrics) -> Metrics:
    """The scores that may be quoted, each with its interval over patients."""
    intervals = test["uncertainty"]["intervals"]
    return {name: {"value": test[name], "interval": intervals[name]} for name in HEADLINE}


def calibration_scores(run: Run, operating: Operating | None) -> Metrics:
    """ECE and Brier score of the test cells, before and after temperature scaling."""
    stages = {"before": run.test} | ({"after": operating.calibrated} if operating else {})
    found: Metrics = {}
    for stage, cells in stages.items():
        labels, probabilities = cells["label"].to_numpy(), probabilities_of(cells)
        found[stage] = {
            "ece": expected_calibration_error(labels, probabilities),
            "brier": brier(labels, probabilities),
        }
    return found


def patients_of(run: Run) -> pd.DataFrame:
    """One row a tested patient (see `patients.patient_table`)."""
    return patient_table(
        run.table["patient"].to_numpy(str)[run.test["row"]],
        run.test["label"].to_numpy(),
        probabilities_of(run.test),
        classes=run.classes,
        positive=run.positive,
    )


def write_tables(run: Run, floors: dict[str, pd.DataFrame], folder: Path) -> None:
    """The tables that other programs read."""
    table = run.table
    told = prediction_table(run.test, table, run.classes)
    publish_table(folder / "predictions.csv", told)
    publish_table(folder / "cells.csv", table.drop(columns="detail_hash", errors="ignore"))
    publish_table(folder / "excluded.csv", run.experiment.cells.excluded)
    if len(run.history):
        publish_table(folder / "history.csv", run.history)
    if floors:
        # as it is: pandas' own text type takes no byte that is no text
        columns = {"path": table["path"].iloc[run.test["row"]].reset_index(drop=True)}
        for name, test in floors.items():
            for label, column in zip(run.classes, probabilities_of(test).T, strict=True):
                columns[f"{name}_prob_{label}"] = column
        publish_table(folder / "floors.csv", pd.DataFrame(columns))


def prediction_table(test: pd.DataFrame, table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """One row a cell: path, name, pixels_sha256, patient, group, part, fold, label, predicted,
    prob_<class>.
    """
    cells = table.iloc[test["row"]].reset_index(drop=True)
    probabilities = probabilities_of(test)
    result = cells[["path", "name", "pixels_sha256", "patient", "group", "part"]].copy()
    result["fold"] = test["fold"].to_numpy()
    result["label"] = cells["label"]
    result["predicted"] = np.array(classes)[probabilities.argmax(axis=1)]
    for k, name in enumerate(classes):
        result[f"prob_{name}"] = probabilities[:, k]
    return result


def side_scores(part: pd.DataFrame, classes: list[str]) -> Metrics:
    """Scores of predictions, a row each."""
    return scores(part["label"].to_numpy(), probabilities_of(part), classes=classes)


def folds_of(run: Run) -> Iterator[tuple[Fit, pd.DataFrame]]:
    """The predictions of every fold of every repeat, with the first of its networks."""
    seen: set[tuple[int, int]] = set()
    for fit in run.fits:
        key = (fit.repeat, fit.fold)
        if key not in seen:
            seen.add(key)
            rows = run.predictions
            yield fit, rows[(rows["repeat"] == fit.repeat) & (rows["fold"] == fit.fold)]


def fold_scores(part: pd.DataFrame, classes: list[str]) -> Metrics:
    """Scores of every side of one fold."""
    sides = {side: rows for side, rows in part.groupby("side") if side != "test"}
    found = {str(side): side_scores(rows, classes) for side, rows in sides.items()}
    test = part[part["side"] == "test"]
    return found | ({"test": side_scores(pool_networks(test), classes)} if len(test) else {})


def _other_sides(run: Run) -> list[str]:
    """Training and validation, where there are predictions of them."""
    return [side for side in ("train", "val") if (run.predictions["side"] == side).any()]


def scored_with_interval(test: pd.DataFrame, table: pd.DataFrame, classes: list[str]) -> Metrics:
    """Scores with intervals that resample patients (groups of images where none are known)."""
    labels, probabilities = test["label"].to_numpy(), probabilities_of(test)
    groups = table["group"].to_numpy()[test["row"]]
    found = scores(labels, probabilities, classes=classes)
    unknown = table["patient"].iloc[test["row"]].isna().any()
    found["uncertainty"] = group_intervals(
        labels,
        probabilities,
        groups,
        classes=classes,
        unit="images" if unknown else "patients",
    )
    if unknown:
        found["uncertainty"]["unit"] = "an image with its duplicates: patients are not recorded"
    else:
        found["uncertainty"]["unit"] = "a patient with all who share an image"
    return found


def score_floors(run: Run) -> dict[str, pd.DataFrame]:
    """Every trivial baseline's predictions of the tested cells, in the rows of `run.test`."""
    experiment: Experiment = run.experiment
    sides = [sides_of(fit, len(run.table)) for fit in run.fits]
    rows = np.concatenate([np.flatnonzero(side == "test") for side in sides])
    found = {}
    for name, per_fit in floor_probabilities(experiment, sides).items():
        test = prediction_rows(rows, "test", experiment.labels[rows], np.concatenate(per_fit))
        found[name] = pool_networks(test.assign(fold=0))
    return found
