"""What a finished run prints."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from oadls.metrics import SCORES
from oadls.terminal import console

FLOORS = {
    "majority": "majority class",
    "cell_area": "cell area alone",
    "linear_probe": "linear probe",
}


def print_summary(metrics: dict[str, Any], excluded: pd.DataFrame, folder: Path) -> None:
    """Scores of every side, the test's interval over patients, and the floors beside them.

    A test score whose split leaks is withheld.
    """
    terminal = console()
    table = Table(title=f"{metrics['experiment']} · {metrics['protocol']}")
    for name in ("", "cells", *SCORES):
        table.add_column(name, no_wrap=True)
    for side in [side for side in ("train", "val") if side in metrics]:
        table.add_row(side, *_row(metrics[side]))
    uncertainty = metrics["test"]["uncertainty"]
    if metrics["withheld"]:
        table.add_row("test", str(metrics["test"]["cells"]), *["withheld"] * len(SCORES))
    else:
        table.add_row("test", *_row(metrics["test"]), style="bold")
        ends = [uncertainty["intervals"][name] for name in SCORES]
        cells = [f"{end[0]:.2f}–{end[1]:.2f}" if end else "–" for end in ends]
        table.add_row("  95 % interval", "", *cells, style="dim")
    for name, label in FLOORS.items():
        if name in metrics.get("floors", {}):
            table.add_row(f"floor: {label}", *_row(metrics["floors"][name]))
    terminal.print(table)
    terminal.print(
        f"Scores are macro means{_but(metrics['test'])}. "
        f"The interval resamples {uncertainty['groups']} groups; a group is {uncertainty['unit']}."
    )
    if uncertainty["warning"]:
        terminal.print(f"Careful: {uncertainty['warning']}.", style="yellow")
    if metrics["withheld"]:
        terminal.print(f"The test score is no headline: {metrics['withheld']}.", style="yellow")
    elif metrics["by_image"]:
        terminal.print(
            "Careful: this protocol splits by image; cells of one patient stand on both sides.",
            style="yellow",
        )
    if metrics["pretrained"] is False:
        terminal.print("Careful: the backbone has random weights.", style="yellow")
    if len(excluded):
        terminal.print(f"{len(excluded)} images were left out: {folder / 'excluded.csv'}")
    page = folder / "report.html"
    terminal.print(f"Everything is in {page if page.is_file() else folder}", soft_wrap=True)


def _but(found: dict[str, Any]) -> str:
    """Which classes the means leave out, for they have no cell."""
    absent = found.get("absent")  # an older run does not say
    return f" without {', '.join(absent)}, of which no cell was tested" if absent else ""


def _row(found: dict[str, Any]) -> list[str]:
    values = [found[name] for name in SCORES]
    return [str(found["cells"]), *("–" if v is None else f"{v:.3f}" for v in values)]
