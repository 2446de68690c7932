"""What a run shows in W&B beside its curves: scores, charts, cells, figures, artifacts.

Of a trial (`test=false`) only what validation gave: no test cell is looked at. Names of patients
and cells, and pictures of cells, are shown where `logger.patients=true` asks for them.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import wandb

from oadls.report.evidence import Evidence
from oadls.report.pictures import overlay
from oadls.report.results import HEADLINE, prediction_table
from oadls.report.sections.explain import choose, look_at
from oadls.run import Fit, Run, pool_networks, probabilities_of

CURVES = {"pr": "Precision-recall", "roc": "ROC"}
TITLES = {"val": "validation", "test": "test"}
PICTURED = 32  # cells with pictures, of each kind, right and wrong
FACTS = ["name", "label", "patient", "group", "source", "part", "pixels_sha256"]
NAMES = ["name", "patient", "group"]  # columns that may tell who somebody is
# figures of a report that show cells, or the names of patients
PERSONAL = re.compile(r"stages|features|samples|saliency_\w+|mistakes|influential|patients")


def show_run(board: wandb.Run, run: Run, metrics: dict[str, Any] | None) -> None:
    """Log what a finished run gave.

    metrics : what metrics.json holds; None for a trial
    """
    board.summary.update(summarise(metrics or {}))
    board.log(charts(run))
    if metrics is None:
        return
    told, asked = predictions(run), shows_patients(run)
    board.log(
        {
            "test/predictions": _table(told if asked else without_names(told, run)),
            **({"test/cells": pictured_cells(run, metrics, told)} if asked else {}),
            **figures(run.folder if run.experiment.config.report else None, personal=asked),
        }
    )
    log_artifacts(board, run)


def shows_patients(run: Run) -> bool:
    """Whether W&B is to get names of patients and cells, and pictures."""
    return bool(run.experiment.config.logger.get("patients", False))


def without_names(told: pd.DataFrame, run: Run) -> pd.DataFrame:
    """`predictions` with the beginning of the content hash in the place of names."""
    found = told.drop(columns=NAMES, errors="ignore")
    found.insert(0, "cell", run.table["pixels_sha256"].str[:16].to_numpy()[run.test["row"]])
    return found


def summarise(metrics: dict[str, Any]) -> dict[str, Any]:
    """test/SCORE with _low and _high of its interval, floors/NAME/SCORE; why they are withheld.

    A test score that must not be a headline is not there. What has no value has no name.
    """
    found: dict[str, Any] = {}
    if metrics.get("withheld"):
        found["withheld"] = metrics["withheld"]
    for score, told in (metrics.get("headline") or {}).items():
        low, high = told["interval"] or (None, None)
        found |= {f"test/{score}": told["value"]}
        found |= {f"test/{score}_low": low, f"test/{score}_high": high}
    for floor, scores in metrics.get("floors", {}).items():
        found |= {f"floors/{floor}/{score}": scores[score] for score in HEADLINE}
    return {name: value for name, value in found.items() if value is not None}


def charts(run: Run) -> dict[str, Any]:
    """Confusion matrix, precision-recall and ROC curves of the validation and the test cells."""
    found: dict[str, Any] = {}
    for side, title in TITLES.items():
        cells = pool_networks(run.side(side))
        if len(cells) == 0:
            continue
        labels: Any = cells["label"].to_numpy()
        probabilities: Any = probabilities_of(cells)
        found[f"{side}/confusion_matrix"] = wandb.plot.confusion_matrix(
            y_true=labels.tolist(),
            preds=probabilities.argmax(axis=1).tolist(),
            class_names=run.classes,
            title=f"Confusion matrix, {title}",
        )
        if len(np.unique(labels)) < len(run.classes):
            continue  # W&B would take the columns of other classes
        for name, draw in (("pr", wandb.plot.pr_curve), ("roc", wandb.plot.roc_curve)):
            told = f"{CURVES[name]}, {title}"
            found[f"{side}/{name}"] = draw(labels, probabilities, run.classes, title=told)
    return found


def predictions(run: Run) -> pd.DataFrame:
    """predictions.csv with the name of each cell and not its path, a row a cell of run.test."""
    told = prediction_table(run.test, run.table, run.classes)
    told = told.drop(columns=["path", "name", "pixels_sha256", "group"])
    told.insert(0, "name", run.table["name"].to_numpy()[run.test["row"]])
    return told


def pictured_cells(run: Run, metrics: dict[str, Any], told: pd.DataFrame) -> wandb.Table:
    """Some cells of `predictions`: the surest mistakes, then right ones.

    Beside each what the network saw, Grad-CAM of the predicted class and, where it is a map over
    the picture, attention λ; of an estimator the picture alone.
    """
    evidence = Evidence(run, metrics, {}, None)
    chosen = choose(evidence, PICTURED)
    if not run.experiment.is_network:
        keys = evidence.cells["pixels_sha256"].iloc[chosen].tolist()
        alone: dict[str, Any] = {
            "picture": [_image(run.experiment.views.picture(key)) for key in keys]
        }
        return _table(told.iloc[chosen].assign(**alone))
    found = dict(look_at(evidence, chosen))  # network by network
    looks = [found[i] for i in chosen]
    pictures: dict[str, Any] = {
        "picture": [_image(look.picture) for look in looks],
        "grad_cam": [_image(overlay(look.picture, look.cam)) for look in looks],
    }
    maps = [(look.picture, look.attention) for look in looks if look.attention is not None]
    if maps:
        pictures["attention"] = [_image(overlay(*each)) for each in maps]
    return _table(told.iloc[chosen].assign(**pictures))


def figures(folder: Path | None, *, personal: bool) -> dict[str, wandb.Image]:
    """The figures of the report in a folder by name; personal: also those of cells and patients."""
    files = sorted((folder / "figures").glob("*.png")) if folder else []
    shown = [file for file in files if personal or not PERSONAL.fullmatch(file.stem)]
    return {f"figures/{file.stem}": wandb.Image(str(file)) for file in shown}


def log_artifacts(board: wandb.Run, run: Run) -> None:
    """The cells as the run's input, the best checkpoint of each network as its output.

    W&B notes no input offline (`use_artifact` refuses): there the cells are logged as an output.
    Every model says in its metadata which cells it is made from.
    """
    keep = board.log_artifact if board.offline else board.use_artifact
    keep(cells_artifact(run), aliases=[run.experiment.fingerprint])
    home = (run.folder / "checkpoints").resolve()
    for fit in run.fits:
        if fit.checkpoint.resolve().parent == home:  # else a folder that came from elsewhere chose
            board.log_artifact(model_artifact(run, fit), aliases=["best"])


def cells_artifact(run: Run) -> wandb.Artifact:
    """cells.csv without measurements and paths; equal cells are one version.

    Without names where they are not asked for: what is left is label, source, part, content hash.
    """
    table, experiment = run.table, run.experiment
    found = wandb.Artifact(
        _legal(experiment.config.data.name),
        type="dataset",
        metadata={
            "data_fingerprint": experiment.fingerprint,
            "cells": len(table),
            "patients": int(table["patient"].nunique()),
            "labels": {str(name): int(n) for name, n in table["label"].value_counts().items()},
            "excluded": len(experiment.cells.excluded),
        },
    )
    with found.new_file("cells.csv") as file:
        told = table[FACTS]
        told = told if shows_patients(run) else told.drop(columns=NAMES)
        told.to_csv(file, index=False)
    return found


def model_artifact(run: Run, fit: Fit) -> wandb.Artifact:
    """The best checkpoint of a network."""
    found = wandb.Artifact(
        _legal(f"{run.experiment.config.name}-{fit.name}"),
        type="model",
        metadata={
            "fitness": fit.fitness,
            "split": fit.name,
            "protocol": run.protocol,
            "config": run.experiment.config.name,
            "data_fingerprint": run.experiment.fingerprint,
        },
    )
    # immutable: sent from where it lies, without a copy
    found.add_file(str(fit.checkpoint), name=fit.checkpoint.name, policy="immutable")
    return found


def _legal(name: str) -> str:
    """The name of an artifact: letters, digits, "_", "-" and ".", at most 128."""
    return re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)[:128]


def _image(picture: np.ndarray) -> wandb.Image:
    return wandb.Image(picture, file_type="jpg")


def _table(table: pd.DataFrame) -> wandb.Table:
    """Plain values, None where there is none."""
    columns: Any = table.columns.tolist()
    rows: Any = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return wandb.Table(columns=columns, data=rows)
