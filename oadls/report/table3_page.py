"""The files of Table 3: table3.csv, table3.md, report.html and the figures; and the terminal's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from rich.table import Table

from oadls.publish import publish_table, publish_text
from oadls.report.builder import Page
from oadls.report.table3 import records_of, table_3
from oadls.report.table3_figures import plot_rows
from oadls.report.table3_shown import (
    cost_rows,
    gain_rows,
    has_intervals,
    markdown,
    model_text,
    notes,
    score_rows,
    short_rows,
)
from oadls.report.table3_verdict import verdict
from oadls.rows import Row
from oadls.size import COUNTED
from oadls.terminal import console

WIDTH = 132  # of the terminal's table where the output is a file or a pipe
FIGURES = {"fig10": ("accuracy", "precision", "f1"), "fig11": ("sensitivity", "specificity")}
GAINS = (
    "Points of macro precision by which OADLS-ALDC is above the row (below, where negative) on the "
    "same cells. Interval and p keep the cells of a group together; p is corrected over the rows "
    "by Holm's method."
)
COSTS = (
    "What a row costs. Settings tried: on validation, in each fold, before the test part is "
    "touched. Seconds per 1,000 cells, from the prepared picture on, without a cache{threads}; "
    "those of training are for all settings tried, and longer where rows ran side by side. "
    "Multiply-adds of a cell are those of all its test views, – where features are handcrafted. "
    "Parameters of an estimator: " + COUNTED + "."
)


def write_table3(folder: Path, rows: Sequence[Row], faults: Mapping[str, str]) -> Path:
    """Write the table in every form, print it, and return its page.

    faults : why a row failed
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = table_3(rows, faults)
    publish_table(folder / "table3.csv", table)
    publish_text(folder / "table3.md", as_markdown(table))
    page = write_page(folder, table)
    print_table(table, page)
    return page


def as_markdown(table: pd.DataFrame) -> str:
    """Everything that is text, to be pasted into a page of documentation."""
    parts = [verdict(table), markdown(score_rows(table)), *notes(table)]
    gains = gain_rows(table)
    if len(gains):
        parts += [markdown(gains), GAINS]
    return "\n\n".join([*parts, markdown(cost_rows(table)), cost_caption(table)]) + "\n"


def cost_caption(table: pd.DataFrame) -> str:
    """How the costs were measured."""
    known = set(table["threads"].dropna()) if "threads" in table else set()
    threads = " and ".join(f"{number:.0f}" for number in sorted(known))
    return COSTS.format(threads=f", by {threads} threads of a processor" if threads else "")


def write_page(folder: Path, table: pd.DataFrame) -> Path:
    """report.html with the tables and both figures."""
    page = Page(folder)
    page.section("scores", "Scores")
    page.note(verdict(table), "info")
    lines = score_rows(table).map(_unbroken)
    page.show_table(lines, "Every row on the same cells and folds, in per cent.")
    for note in notes(table):
        page.text(note)
    if (table["failed"] == "").any():
        measured = "as measured here" + (", with 95 % intervals" if has_intervals(table) else "")
        for name, scores in FIGURES.items():
            listed = ", ".join("F1" if score == "f1" else score for score in scores)
            caption = f"Fig. {name[3:]}: {listed}; filled {measured}, hollow as printed."
            page.figure(name, plot_rows(table, scores), caption)
    page.section("differences", "Is OADLS-ALDC better?")
    gains = gain_rows(table)
    if len(gains):
        page.show_table(gains, GAINS)
    else:
        page.text("There is no other row to compare OADLS-ALDC with on the same cells.")
    page.section("costs", "What it costs")
    page.show_table(cost_rows(table), cost_caption(table))
    _printed_section(page, table)
    return page.write(
        title="Table 3: OADLS-ALDC and the systems that the paper compares it with",
        subtitle=f"{folder.name} · written {datetime.now():%Y-%m-%d %H:%M} by oadls "
        f"{version('oadls')}",
        footer="Research use only: no medical device, no diagnosis. Every number is in table3.csv, "
        "the text in table3.md, the figures in figures/ as PNG and PDF, beside this page.",
    )


def _printed_section(page: Page, table: pd.DataFrame) -> None:
    """How the printed values contradict each other."""
    if "contradictions" not in table:
        return
    marked = table[table["contradictions"].fillna("") != ""]
    marked = marked.drop_duplicates("contradictions")[["title", "contradictions"]]
    if len(marked):
        page.section("printed", "What the paper prints")
        page.show_table(
            marked.rename(columns={"title": "model", "contradictions": "contradicts itself"}),
            "Printed values that cannot be of one table of two classes: what the others say.",
        )


def _unbroken(text: str) -> str:
    """A value with its interval, that a narrow column does not break."""
    return text.replace(" (", "\N{NO-BREAK SPACE}(").replace("–", "\N{WORD JOINER}–\N{WORD JOINER}")


def print_table(table: pd.DataFrame, page: Path) -> None:
    """Scores, gains and the verdict, to a reader of the terminal."""
    terminal = console(width=WIDTH)
    lines = short_rows(table)
    title = "Table 3, per cent (gain: points of macro precision of OADLS-ALDC over the row)"
    printed = Table(title=title)
    for name in lines.columns:
        printed.add_column(name, no_wrap=True)
    for values in lines.itertuples(index=False):
        printed.add_row(*values)
    terminal.print(printed)
    for row in records_of(table[table["failed"] != ""]):
        terminal.print(model_text(row), style="red", soft_wrap=True)
    for line in (*notes(table), verdict(table)):
        terminal.print(line)
    terminal.print(f"Everything is in {page}", soft_wrap=True)
