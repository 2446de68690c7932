"""Figs. 10 and 11: the systems of Table 3, measured here and as printed."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from oadls.report.figures import COLOURS, MARKERS, panel

WIDTH = 3.5  # inches: a column of a page
NAMES = {"f1": "F1"}
STEP = 0.24  # between the scores of a row, which are one apart


def plot_rows(table: pd.DataFrame, scores: Sequence[str]) -> Figure:
    """Scores of each row in per cent: filled with its interval, hollow what the paper prints.

    table : as `table3.table_3` makes it; rows that failed are left out
    """
    rows = table[table["failed"] == ""].to_dict("records")
    figure, axis = panel((WIDTH, 0.5 + 0.5 + 0.32 * max(1, len(rows)) * _stretch(scores)))
    for place, row in enumerate(rows):
        if place % 2:
            axis.axhspan(place - 0.5, place + 0.5, color="0.95", lw=0, zorder=0)
        for k, score in enumerate(scores):
            y = place + STEP * (k - (len(scores) - 1) / 2)
            _draw(axis, row, score, y, colour=COLOURS[k], marker=MARKERS[k])
    axis.set_yticks(range(len(rows)), [row["title"] for row in rows], fontsize=8)
    axis.set(xlabel="per cent", ylim=(len(rows) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    for k, row in enumerate(rows):
        if row["row"] == "oadls":
            axis.get_yticklabels()[k].set_fontweight("bold")
    figure.legend(handles=_legend(scores), frameon=False, ncols=2, fontsize=8, **_PLACE)
    return figure


_PLACE: Any = {"loc": "outside upper center", "columnspacing": 1.2, "handletextpad": 0.4}


def _stretch(scores: Sequence[str]) -> float:
    return 1.25 if len(scores) > 2 else 1.0


def _draw(
    axis: Any, row: dict[str, Any], score: str, y: float, *, colour: str, marker: str
) -> None:
    low, high, printed = (row.get(f"{score}_{end}") for end in ("low", "high", "printed"))
    if pd.notna(low) and pd.notna(high):
        axis.plot([100 * low, 100 * high], [y, y], color=colour, lw=1.2, zorder=2)
    if pd.notna(printed):
        axis.plot(100 * printed, y, marker, ms=4, mfc="white", mec="0.25", mew=0.8, zorder=3)
    axis.plot(100 * row[score], y, marker, ms=4.2, color=colour, zorder=4)


def _legend(scores: Sequence[str]) -> list[Line2D]:
    shapes = [
        Line2D([], [], color=COLOURS[k], marker=MARKERS[k], ms=4.2, lw=1.2, label=NAMES.get(s, s))
        for k, s in enumerate(scores)
    ]
    hollow: Any = {"mfc": "white", "mec": "0.25", "mew": 0.8, "ls": "", "marker": "o", "ms": 4}
    return [*shapes, Line2D([], [], label="hollow: printed", **hollow)]
