"""Prediction sets: when the network should not decide."""

import pandas as pd

from oadls.report.builder import Page
from oadls.report.evidence import Evidence
from oadls.report.sections.patients import MOST


def write(page: Page, evidence: Evidence) -> None:
    page.section("abstention", "Abstention")
    operating = evidence.operating
    if operating is None:
        page.note("There are no validation cells here: prediction sets cannot be calibrated.")
        return
    page.text(
        f"Split conformal prediction (LAC), calibrated on the validation cells of {evidence.each}, "
        f"gives every test cell a set of classes that should hold the true one in "
        f"{operating.coverage:.0%} of cells. A set of one class is a decision; more, or none, is "
        "an abstention. The promise holds for cells that come as the validation cells did. New "
        "patients do not: look at the coverage by patient."
    )
    sets = operating.sets.copy()
    inside = sets.filter(regex=r"^set_\d+$").to_numpy(bool)  # (M, K)
    sets["covered"] = inside[range(len(sets)), sets["label"]]
    sets["one class"] = inside.sum(axis=1) == 1
    sets["empty"] = inside.sum(axis=1) == 0
    sets["right when decided"] = sets["covered"].where(sets["one class"])
    sets["class"] = evidence.names(sets["label"].to_numpy())
    sets["patient"] = evidence.run.table["patient"].to_numpy()[sets["row"]]
    by_class = [_row(part, **{"class": name}) for name, part in sets.groupby("class")]
    by_class.append(_row(sets, **{"class": "all classes"}))
    page.table("coverage_by_class", pd.DataFrame(by_class), "Coverage by class.")
    if evidence.run.patients_known:
        rows = [_row(part, patient=name) for name, part in sets.groupby("patient")]
        table = pd.DataFrame(rows).sort_values("coverage", kind="stable")
        short = int((table["coverage"] < operating.coverage).sum())
        page.text(
            f"{short} of {len(table)} patients get less than the promised "
            f"{operating.coverage:.0%}; the worst gets {table['coverage'].min():.0%}."
        )
        caption = "Coverage by patient, the worst first."
        page.table("coverage_by_patient", table, caption, most=MOST)
    else:
        page.text("Coverage by patient cannot be given: patients are not recorded.")


def _row(part: pd.DataFrame, **key: object) -> dict[str, object]:
    return {
        **key,
        "sets": len(part),
        "coverage": part["covered"].mean(),
        "decided": part["one class"].mean(),
        "empty": part["empty"].mean(),
        "right when decided": part["right when decided"].astype(float).mean(),
    }
