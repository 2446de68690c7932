"""The most confident mistakes, and the cells that move their patient most."""

from typing import Any

import numpy as np
import pandas as pd

from oadls.report import told
from oadls.report.builder import CellPicture, Page
from oadls.report.evidence import Evidence
from oadls.report.images import original, picture_seen
from oadls.report.sections.data import short

WORST = 10
PATIENTS = 12  # with a picture of their most influential cell


def write(page: Page, evidence: Evidence) -> None:
    page.section("mistakes", "Mistakes")
    table = mistakes(evidence)
    if len(table):
        page.cells(
            "mistakes",
            lambda: [_picture(evidence, row) for row in table.head(WORST).itertuples()],
            f"The most confident mistakes: the image as it came, and {told.seen(evidence)}.",
        )
        shown = table.drop(columns="index")
        caption = f"The first of {len(shown)} wrong test cells."
        page.table("mistakes", shown, caption, most=WORST)
    else:
        page.text("No test cell is wrong.")
    page.heading("The most influential cells of each patient")
    if not evidence.run.patients_known:
        page.text("Patients are not recorded.")
    elif evidence.run.positive is None:
        page.text("There is no positive class, so that no cell moves its patient towards it.")
    else:
        _write_influence(page, evidence)


def mistakes(evidence: Evidence) -> pd.DataFrame:
    """Wrong test cells, the surest first: index, cell, patient, true, predicted, probability."""
    confidence = evidence.probabilities.max(axis=1)
    wrong = np.flatnonzero(~evidence.right)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")]
    cells = evidence.cells.iloc[order]
    return pd.DataFrame(
        {
            "index": order,
            "cell": cells["name"].map(short).to_numpy(),
            "patient": cells["patient"].to_numpy(),
            "true": evidence.names(evidence.labels[order]),
            "predicted": evidence.names(evidence.predicted[order]),
            "probability": confidence[order],
        }
    )


def influential(evidence: Evidence) -> pd.DataFrame:
    """The cell of each patient without which its mean probability would move most.

    returns index, patient, cell, label, probability, mean (of the patient), without (the cell)
    """
    positive = evidence.probabilities[:, evidence.run.positive]
    rows = []
    for patient, members in evidence.cells.groupby("patient").indices.items():
        if len(members) < 2:
            continue
        mean = positive[members].mean()
        without = (positive[members].sum() - positive[members]) / (len(members) - 1)
        most = int(np.abs(without - mean).argmax())
        index = members[most]
        rows.append(
            {
                "index": index,
                "patient": patient,
                "cell": short(evidence.cells["name"][index]),
                "label": evidence.run.classes[evidence.labels[index]],
                "probability": positive[index],
                "mean": mean,
                "without": without[most],
            }
        )
    columns = ["index", "patient", "cell", "label", "probability", "mean", "without"]
    table = pd.DataFrame(rows, columns=columns)
    shift = (table["without"] - table["mean"]).abs()
    return table.iloc[np.argsort(-shift.to_numpy(), kind="stable")].reset_index(drop=True)


def _write_influence(page: Page, evidence: Evidence) -> None:
    table = influential(evidence)
    if table.empty:
        page.text("Each patient has one tested cell: without it nothing is left to decide by.")
        return
    page.text(
        "The cell of each patient that moves the mean probability most when it is left out. Where "
        "one cell carries a patient, look at it before believing the decision."
    )
    page.cells(
        "influential",
        lambda: [_influence_picture(evidence, row) for row in table.head(PATIENTS).itertuples()],
        "The largest shifts: mean with and without the cell.",
    )
    page.table("influential", table.drop(columns="index"), "Most influential cell by patient.")


def _influence_picture(evidence: Evidence, row: Any) -> CellPicture:
    image = original(evidence.run.experiment, evidence.cells.iloc[row[1]])
    shift = f"mean {row.mean:.3f} → {row.without:.3f}"
    return CellPicture([image], [f"patient {row.patient}", row.cell, shift])


def _picture(evidence: Evidence, row: Any) -> CellPicture:
    cell = evidence.cells.iloc[row[1]]
    images = [
        original(evidence.run.experiment, cell),
        picture_seen(evidence.run.experiment, cell["pixels_sha256"]),
    ]
    lines = [f"{row.true}, called {row.predicted} ({row.probability:.3f})", row.cell]
    if isinstance(row.patient, str):
        lines.append(f"patient {row.patient}")
    return CellPicture(images, lines)
