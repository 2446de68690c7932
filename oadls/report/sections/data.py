"""Table 1, the flow of patients and cells, sample images, and what was left out."""

import numpy as np
import pandas as pd

from oadls.report.builder import CellPicture, Page
from oadls.report.evidence import Evidence
from oadls.report.figures import plot_flow
from oadls.report.images import original
from oadls.report.paper import TABLE_1
from oadls.run import NEW_CELLS

SAMPLES = 4  # pictures of each class
LONGEST = 30  # rows in the page; the CSV has all


def write(page: Page, evidence: Evidence) -> None:
    page.section("data", "Data")
    run = evidence.run
    page.table("table_1", table_1(evidence), "Table 1. Cells and patients of each class.")
    page.figure("flow", plot_flow(flow(evidence)), "Flow of cells and patients.")
    thing = "network" if run.experiment.is_network else "estimator"
    caption = f"Sides of the cells of every {thing} ({run.protocol})."
    page.table("sides", sides(evidence), caption, most=LONGEST)
    if len(run.leaks):
        page.table("leaks", run.leaks, "What stands on two sides of the split.", most=LONGEST)
    page.heading("Samples (Fig. 3)")
    page.cells(
        "samples",
        lambda: samples(evidence),
        "Tested cells as they came, drawn at random, of as many patients as can be.",
    )
    page.heading("Left out, and why")
    _write_left_out(page, evidence)


def table_1(evidence: Evidence) -> pd.DataFrame:
    """label, cells, patients, printed in the paper."""
    table = evidence.run.table
    rows = []
    for name in evidence.run.classes:
        cells = table[table["label"] == name]
        rows.append((name, len(cells), _patients(cells), TABLE_1.get(name)))
    rows.append(("total", len(table), _patients(table), sum(TABLE_1.values())))
    found = pd.DataFrame(rows, columns=["class", "cells", "patients", "cells printed in the paper"])
    if not set(evidence.run.classes) <= set(TABLE_1):
        return found.drop(columns="cells printed in the paper")
    return found


def _patients(cells: pd.DataFrame) -> object:
    return int(cells["patient"].nunique()) or "not recorded"


def flow(evidence: Evidence) -> list[tuple[str, str]]:
    """(what remains, what left before it)."""
    run, excluded = evidence.run, evidence.run.experiment.cells.excluded
    table = run.table
    labelled = table[table["label"].notna()]
    used = run.predictions["row"].unique()
    tested = table.iloc[run.test["row"]]
    return [
        (f"listed\n{len(table) + len(excluded)} images", ""),
        (f"readable\n{_count(table)}", _left(len(excluded), "bad files")),
        (f"labelled\n{_count(labelled)}", _left(len(table) - len(labelled), "without a label")),
        (
            f"in the split\n{_count(table.iloc[used])}",
            _left(len(labelled) - len(used), _why_unused(evidence)),
        ),
        (
            f"tested\n{_count(tested)}",
            _left(len(used) - len(tested), "on no test side"),
        ),
    ]


def _why_unused(evidence: Evidence) -> str:
    if evidence.run.protocol == NEW_CELLS:
        return "of patients that every checkpoint has seen"
    return "not used by this protocol"


def _count(cells: pd.DataFrame) -> str:
    patients = cells["patient"].nunique()
    return f"{len(cells)} cells" + (f" of {patients} patients" if patients else "")


def _left(number: int, why: str) -> str:
    return f"− {number} {why}" if number else ""


def sides(evidence: Evidence) -> pd.DataFrame:
    """network, side, cells of each class, patients."""
    run = evidence.run
    rows = []
    for (network, side), part in run.predictions.groupby(["network", "side"], sort=False):
        cells = run.table.iloc[part["row"]]
        counts = {name: int((cells["label"] == name).sum()) for name in run.classes}
        rows.append({"network": network, "side": side, **counts, "patients": _patients(cells)})
    return pd.DataFrame(rows)


def samples(evidence: Evidence) -> list[CellPicture]:
    """A few tested cells of each class."""
    rng = np.random.default_rng(0)
    found = []
    for k, name in enumerate(evidence.run.classes):
        rows = rng.permutation(np.flatnonzero(evidence.labels == k))
        cells = evidence.cells.iloc[rows]
        repeated = cells.groupby("group").cumcount()  # other patients first
        for _, cell in cells.iloc[np.argsort(repeated, kind="stable")[:SAMPLES]].iterrows():
            found.append(
                CellPicture([original(evidence.run.experiment, cell)], [name, short(cell["name"])])
            )
    return found


def short(name: str) -> str:
    """The last part of a cell's name."""
    return name.rpartition("/")[2]


def _write_left_out(page: Page, evidence: Evidence) -> None:
    excluded = evidence.run.experiment.cells.excluded
    if len(excluded):
        page.table("left_out", excluded, "Images that were left out.", most=LONGEST)
    else:
        page.text("No image was left out.")
    table = evidence.run.table
    fallen = table.loc[table["note"] != "", ["name", "label", "patient", "note"]]
    if len(fallen):
        page.text(
            f"{len(fallen)} of {len(table)} cells were not segmented as meant; they stayed in."
            + (f" The first {LONGEST}:" if len(fallen) > LONGEST else "")
        )
        page.table("not_segmented", fallen, "How the segmentation fell back.", most=LONGEST)
    else:
        page.text("Every cell was segmented as meant.")
