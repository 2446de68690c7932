"""Table 3: every system on the same cells and folds, beside what the paper prints of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from oadls.comparison import compare_paired, holm, stack
from oadls.errors import UserError
from oadls.metrics import SCORES
from oadls.report.paper import TABLE_3, contradictions
from oadls.rows import Row
from oadls.run_folder import RunFolder, read_json

OURS = "oadls"
RANKED = "precision"  # the score by which the paper's fitness ranks, and the verdict speaks
FLOORS = {"majority": "Majority class", "cell_area": "Area of the cell alone"}
COSTS = (
    "parameters",
    "trained",
    "multiply_adds",
    "test_views",
    "training_seconds",
    "inference_seconds",
    "threads",
)


def table_3(rows: Sequence[Row], faults: Mapping[str, str]) -> pd.DataFrame:
    """One record a row, the trivial baselines of OADLS-ALDC's run after them.

    faults : why a row failed, which then has no score
    returns row, title, method, schedule, tuned (settings tried in each fold), weights (where
        nothing was pretrained), failed (why, else empty), cells, unit (of the intervals), warning
        (why there is none); of each score the value, its low and high, what is printed (all
        fractions), OADLS-ALDC less this row (gain) with low, high, p and p_holm, corrected over the
        rows; the costs; contradictions of the printed values
    """
    runs, faults = _read_all(rows, faults)
    records = [_record(row, faults.get(row.name, ""), runs.get(row.name)) for row in rows]
    if OURS in runs:
        for record in records:
            if record["row"] in runs and record["row"] != OURS:
                record |= _gains(runs[OURS], runs[record["row"]])
        records += _floors(runs[OURS][0])
    table = pd.DataFrame(records)
    table["title"] = distinct(table["title"].tolist(), table["method"].tolist())
    for score in SCORES:
        if f"{score}_p" in table:
            p = [None if np.isnan(value) else value for value in table[f"{score}_p"].astype(float)]
            table[f"{score}_p_holm"] = np.array(holm(p), dtype=float)
    return table


def records_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each as name -> value."""
    return table.to_dict("records")  # type: ignore[return-value]


def distinct(titles: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Titles that stand more than once get the first words of their method, up to a comma."""
    return [
        f"{title} ({method.partition(',')[0]})" if titles.count(title) > 1 else title
        for title, method in zip(titles, methods, strict=True)
    ]


def _read_all(
    rows: Sequence[Row], faults: Mapping[str, str]
) -> tuple[dict[str, tuple[dict[str, Any], pd.DataFrame]], dict[str, str]]:
    """The runs that are done, and why the others are not: one that is half fails for itself."""
    runs, found = {}, dict(faults)
    for row in rows:
        if row.done and row.name not in found:
            try:
                runs[row.name] = _read(row)
            except UserError as error:
                found[row.name] = str(error)
    return runs, found


def _read(row: Row) -> tuple[dict[str, Any], pd.DataFrame]:
    """metrics.json and predictions.csv of a finished run."""
    home = RunFolder(row.folder)
    return home.metrics, home.predictions


def _record(
    row: Row, fault: str, run: tuple[dict[str, Any], pd.DataFrame] | None
) -> dict[str, Any]:
    about = row.settings.get("row") or {}
    tune, cost = row.settings.get("tune") or [None], row.folder / "cost.json"
    printed = TABLE_3.get(about.get("printed") or "", {})
    record: dict[str, Any] = {
        "row": row.name,
        "title": about.get("title") or row.name,
        "method": about.get("method") or "",
        "schedule": about.get("schedule") or "",
        "tuned": len(tune),
        "failed": fault or ("" if run else "not finished"),
        **{f"{score}_printed": value / 100 for score, value in printed.items()},
    }
    if printed:
        found = contradictions(printed)
        record["contradictions"] = "; ".join(f"{name}: {why}" for name, why in found.items())
    if run:
        record |= {"weights": _weights(row, run[0]), **_scores(run[0]["test"])}
        record["withheld"] = run[0]["withheld"]
        measured = read_json(cost) if cost.is_file() else {}
        record |= {name: measured.get(name) for name in COSTS}
    return record


def _weights(row: Row, metrics: Mapping[str, Any]) -> str:
    """What a network knew before it was trained, if that is nothing."""
    if metrics["pretrained"] is not False:
        return ""
    learned = "head" in row.settings["model"]
    return "from scratch" if learned else "from scratch: random features"


def _scores(test: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of metrics.json's "test" with their intervals."""
    uncertainty = test["uncertainty"]
    found = {
        "cells": test["cells"],
        "groups": uncertainty["groups"],
        "unit": uncertainty["unit"],
        "warning": uncertainty["warning"],
    }
    for score in SCORES:
        low, high = uncertainty["intervals"][score] or (None, None)
        found |= {score: test[score], f"{score}_low": low, f"{score}_high": high}
    return found


def _gains(
    ours: tuple[dict[str, Any], pd.DataFrame], other: tuple[dict[str, Any], pd.DataFrame]
) -> dict[str, Any]:
    """OADLS-ALDC less another row on the same cells, paired over the same groups."""
    classes = ours[0]["classes"]
    try:
        labels, first, second, groups = stack([(ours[1], other[1])], classes=classes)
    except (KeyError, ValueError):
        return {"uncompared": "it tested other cells"}
    found = compare_paired(labels, first, second, groups, classes=classes)
    gains: dict[str, Any] = {}
    for score, values in found["difference"].items():
        low, high = values["interval"] or (None, None)
        gains |= {f"{score}_gain": values["value"], f"{score}_p": values["p"]}
        gains |= {f"{score}_gain_low": low, f"{score}_gain_high": high}
    return gains


def _floors(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is trivial, as the run of OADLS-ALDC has scored it."""
    found = metrics.get("floors", {})
    about = {"method": "trivial baseline", "schedule": "", "failed": "", "weights": ""}
    return [
        {"row": name, "title": title, **about, **_scores(found[name])}
        for name, title in FLOORS.items()
        if name in found
    ]
