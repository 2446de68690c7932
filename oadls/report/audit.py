"""What an audit prints, and the files that it leaves behind."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from oadls.experiment import Experiment
from oadls.leakage.finding import Outcome
from oadls.publish import publish_table, publish_text
from oadls.terminal import console

SCORES = {"accuracy": "accuracy", "weighted_f1": "weighted F1", "precision": "macro precision"}
SCORES |= {"auroc": "AUROC"}
TITLES = {
    "shortcuts": "What one thing alone tells of unseen {unit}",
    "inflation": "The picture model, folds by image and by patient",
}


def save_audit(experiment: Experiment, outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write audit.json with everything, and a CSV of each table of evidence."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = evidence(outcomes)
    for name, table in tables.items():
        publish_table(folder / f"{name}.csv", table)
    config, cells = experiment.config, experiment.table
    found = {
        "name": config.name,
        "data": config.data.name,
        "seed": config.seed,
        "cells": len(cells),
        "patients": int(cells["patient"].nunique()),
        "excluded": len(experiment.cells.excluded),
        "findings": [asdict(finding) for outcome in outcomes for finding in outcome.findings],
        "not_done": [reason for outcome in outcomes for reason in outcome.not_done],
        "evidence": {name: _records(table) for name, table in tables.items()},
    }
    publish_text(folder / "audit.json", json.dumps(found, indent=2, allow_nan=False))


def evidence(outcomes: Sequence[Outcome]) -> dict[str, pd.DataFrame]:
    """The tables of all checks by name."""
    return {name: table for outcome in outcomes for name, table in outcome.tables.items()}


def _records(table: pd.DataFrame) -> list[dict]:
    """Rows as plain values; NaN becomes null."""
    return json.loads(table.to_json(orient="records", double_precision=15))


def print_audit(experiment: Experiment, outcomes: Sequence[Outcome], folder: Path) -> None:
    """Shortcuts and inflation side by side, the findings, and what was not looked at."""
    terminal = console()
    cells, tables = experiment.table, evidence(outcomes)
    patients = cells["patient"].nunique()
    known = f"{patients} patients" if patients else "patients unknown"
    terminal.rule(f"Audit of {experiment.config.name}: {len(cells):,} cells, {known}")
    for name in ("shortcuts", "inflation"):
        if name in tables:
            unit = "patients" if patients else "images"
            terminal.print(_score_table(tables[name], title=TITLES[name].format(unit=unit)))
    confounds = tables["confounds"]
    if len(confounds):
        rows = confounds[["field", "balanced_accuracy", "p"]].itertuples(index=False)
        told = ", ".join(f"{field} {accuracy:.2f} (p {p:.3f})" for field, accuracy, p in rows)
        _say(terminal, f"Balanced accuracy of a guess by the file alone: {told}")
    _print_findings(terminal, outcomes)
    for reason in [reason for outcome in outcomes for reason in outcome.not_done]:
        _say(terminal, f"not done: {reason}", style="yellow")
    _say(terminal, f"Everything is in {folder}", soft_wrap=True)


def _print_findings(console: Console, outcomes: Sequence[Outcome]) -> None:
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    if not findings:
        _say(console, "Nothing found.", style="bold green")
    for number, finding in enumerate(findings, start=1):
        _say(console, f"{number}. {finding.check}: {finding.what}.", style="bold red")
        _say(console, f"   Why: {finding.why}. Do: {finding.advice}.")


def _score_table(scores: pd.DataFrame, *, title: str) -> Table:
    table = Table("", "cells", *SCORES.values(), title=title)
    for row in scores.to_dict("records"):
        values = [_score(row, score) for score in SCORES]
        table.add_row(str(row["model"]), f"{row['cells']:,}", *values)
    return table


def _score(row: dict, score: str) -> str:
    """.852 (.79–.90), with a sign for a difference."""
    if pd.isna(row.get(score)):
        return "–"
    difference = row["model"] == "difference"
    text = f"{row[score]:+.3f}" if difference else f"{row[score]:.3f}"
    if pd.notna(row[f"{score}_low"]):
        text += f" ({row[f'{score}_low']:.2f}–{row[f'{score}_high']:.2f})"
    return text


def _say(console: Console, text: str, *, style: str = "", soft_wrap: bool = False) -> None:
    console.print(text, style=style, soft_wrap=soft_wrap)
