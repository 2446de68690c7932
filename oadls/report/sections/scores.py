"""Table 2 and Figs. 5 to 9 of the paper, from this run."""

import pandas as pd

from oadls.metrics import SCORES
from oadls.report import told
from oadls.report.builder import Page
from oadls.report.evidence import Evidence
from oadls.report.figures import (
    plot_confusion,
    plot_history,
    plot_measures,
    plot_precision_recall,
    plot_roc,
)
from oadls.report.paper import MEASURES, printed
from oadls.run import probabilities_of

TITLES = {"train": "Training", "val": "Validation", "test": "Testing"}


def write(page: Page, evidence: Evidence) -> None:
    page.section("scores", "Scores")
    run, metrics = evidence.run, evidence.metrics
    table = table_2(metrics)
    text = "Table 2 as the paper lays it out, in per cent."
    if any(column.endswith(" printed") for column in table.columns):
        text += (
            " Columns marked printed are the paper's own values: an undocumented draw of images, "
            "split in an undocumented way. They are shown to be compared with, not to be reached."
        )
    page.text(text)
    page.table("table_2", table, "Table 2. " + told.pooled(run), digits=2)
    if absent := metrics["test"].get("absent"):  # an older run does not say
        page.text(f"No cell of {', '.join(absent)} was tested: the overall scores leave it out.")
    sides = [side for side in ("train", "test") if side in metrics]
    for number, side in zip((6, 7), ("train", "test"), strict=True):
        if side in sides:
            title = f"{TITLES[side]} (Fig. {number})"
            figure = plot_measures(metrics[side], run.classes, side, title)
            page.figure(f"measures_{side}", figure, f"Fig. {number}. {TITLES[side]} scores.")
    page.heading("Confusion, precision and recall, ROC (Fig. 5)")
    page.text("The paper prints Figs. 5, 8 and 9 as pictures without numbers.")
    for side in sides:
        _write_curves(page, evidence, side)
    history = run.history
    if len(history):
        page.heading("Learning curves (Figs. 8 and 9)")
        for number, metric in ((8, "accuracy"), (9, "loss")):
            caption = f"Fig. {number}. {metric.capitalize()} by epoch; thin lines are networks."
            page.figure(metric, plot_history(history, metric), caption)
    _write_folds(page, evidence)


def table_2(metrics: dict) -> pd.DataFrame:
    """split, measure, a column a class and overall, each beside the printed value."""
    rows = []
    for side in [side for side in ("train", "val", "test") if side in metrics]:
        for measure in MEASURES:
            row: dict[str, object] = {"split": TITLES[side], "measure": measure}
            for column in [*metrics["classes"], "overall"]:
                found = metrics[side]
                found = found if column == "overall" else found["per_class"][column]
                row[column] = 100 * found[measure]
                row[f"{column} printed"] = printed(
                    side, measure, column, classes=metrics["classes"]
                )
            rows.append(row)
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def _write_curves(page: Page, evidence: Evidence, side: str) -> None:
    run, title = evidence.run, TITLES[side]
    rows = run.test if side == "test" else run.side(side)
    labels, probabilities = rows["label"].to_numpy(), probabilities_of(rows)
    confusion = plot_confusion(evidence.metrics[side]["confusion_matrix"], run.classes, title)
    page.figure(f"confusion_{side}", confusion, f"Fig. 5a. Confusion matrix, {title.lower()}.")
    curve = plot_precision_recall(labels, probabilities, run.classes, title)
    page.figure(f"precision_recall_{side}", curve, f"Fig. 5b. Precision and recall, {side}.")
    page.figure(
        f"roc_{side}",
        plot_roc(labels, probabilities, run.classes, title),
        f"Fig. 5c. ROC curve, {title.lower()}.",
    )


def _write_folds(page: Page, evidence: Evidence) -> None:
    """How far the score hangs on the fold and on the partition."""
    folds = [fold for fold in evidence.metrics["folds"] if "test" in fold]
    if len(folds) < 2:
        return
    page.heading("Folds")
    rows = [
        {"repeat": fold["repeat"], "fold": fold["fold"], **_few(fold["test"])} for fold in folds
    ]
    page.table("folds", pd.DataFrame(rows), "Test scores of every fold.")
    repeats = evidence.metrics["repeats"]
    if len(repeats) > 1:
        table = pd.DataFrame([{"repeat": str(r), **_few(found)} for r, found in enumerate(repeats)])
        numbers = table.drop(columns=["repeat", "cells"])
        for name, row in (("mean", numbers.mean()), ("standard deviation", numbers.std())):
            table.loc[len(table)] = {"repeat": name, "cells": None, **row}
        page.table(
            "repeats",
            table,
            "Out-of-fold scores of every repeat of the cross-validation: what one partition gives. "
            "The headline averages the repeats' probabilities of each cell.",
        )


def _few(found: dict) -> dict[str, object]:
    return {name: found[name] for name in ("cells", *SCORES)}
