"""Figs. 10 and 11: the systems of Table 3, measured here and as printed."""

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from oadls.report.figures import COLOURS, MARKERS, panel
from oadls.report.table3 import FLOORS, OURS, records_of

WIDTH = 3.5  # inches: a column of a page
NAMES = {"f1": "F1"}
STEP = 0.24  # between the scores of a row; rows are one apart
LETTERS = 20  # of a line of a title
LEGEND: Any = {"loc": "outside upper center", "frameon": False, "fontsize": 8}
HOLLOW: Any = {"mfc": "none", "mec": "0.15", "mew": 0.8, "ms": 4}


def plot_rows(table: pd.DataFrame, scores: Sequence[str]) -> Figure:
    """Scores of each row in per cent: filled with its interval, hollow what the paper prints.

    table : as `table3.table_3` makes it; rows that failed, and trivial baselines, are left out
    """
    shown = (table["failed"] == "") & ~table["row"].isin(list(FLOORS))
    rows = records_of(table[shown])
    height = 0.12 + 0.1 * len(scores)  # of a row, in inches
    figure, axis = panel((WIDTH, 1.0 + height * len(rows)))
    for place, row in enumerate(rows):
        if place % 2:
            axis.axhspan(place - 0.5, place + 0.5, color="0.95", lw=0, zorder=0)
        for k, score in enumerate(scores):
            y = place + STEP * (k - (len(scores) - 1) / 2)
            _draw(axis, row, score, y, colour=COLOURS[k], marker=MARKERS[k])
    titles = [_lines(row["title"]) for row in rows]
    axis.set_yticks(range(len(rows)), titles, fontsize=7.5, linespacing=1.05)
    axis.set(xlabel="per cent", ylim=(len(rows) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    for k, row in enumerate(rows):
        if row["row"] == OURS:
            axis.get_yticklabels()[k].set_fontweight("bold")
    figure.legend(handles=_legend(scores), ncols=2, **LEGEND)
    return figure


def _lines(title: str) -> str:
    """A title on short lines; what is in parentheses begins one."""
    parts = title.replace(" (", "\n(").split("\n")
    return "\n".join(textwrap.fill(part, LETTERS) for part in parts)


def _draw(
    axis: Any, row: dict[str, Any], score: str, y: float, *, colour: str, marker: str
) -> None:
    low, high, printed = (row.get(f"{score}_{end}") for end in ("low", "high", "printed"))
    if pd.notna(low) and pd.notna(high):
        axis.plot([100 * low, 100 * high], [y, y], color=colour, lw=1.2, zorder=2)
    if pd.notna(printed):
        axis.plot(100 * printed, y, marker, zorder=4, **HOLLOW)
    axis.plot(100 * row[score], y, marker, ms=4.2, color=colour, zorder=3)


def _legend(scores: Sequence[str]) -> list[Line2D]:
    shapes = [
        Line2D([], [], color=COLOURS[k], marker=MARKERS[k], ms=4.2, lw=1.2, label=NAMES.get(s, s))
        for k, s in enumerate(scores)
    ]
    printed = Line2D([], [], ls="", marker="o", label="hollow: printed", **HOLLOW)
    return [*shapes, printed]
