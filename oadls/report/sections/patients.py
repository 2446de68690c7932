"""Patient by patient: scores, decisions, who is wrong; and groups of cells."""

import numpy as np
import pandas as pd

from oadls.metrics import scores
from oadls.patients import patient_scores
from oadls.report.builder import Page, interval_text
from oadls.report.evidence import NO_PATIENTS, Evidence
from oadls.report.figures import plot_patients
from oadls.report.results import patients_of

DECISIONS = {
    "by_mean": "mean probability of the cells",
    "by_majority": "majority of the cells",
    "by_fraction": "fraction of cells called positive, when its 95 % interval excludes one half",
}
QUALITY = {
    "cell_sharpness": "sharpness",
    "cell_contrast": "contrast",
    "cell_mean_g": "brightness (green)",
}
MOST = 100  # patients in the page's table; the CSV has all
TERCILES = ("lowest third", "middle third", "highest third")


def write(page: Page, evidence: Evidence) -> None:
    page.section("patients", "Patients")
    if evidence.run.patients_known:
        _write_patients(page, evidence)
    else:
        page.note(
            NO_PATIENTS + "No score per patient, no decision on a patient and no interval over "
            "patients can be given. Give the patient of each cell to get them."
        )
    page.heading("Groups of cells")
    page.table(
        "groups",
        group_table(evidence),
        "Scores of parts of the test cells. A class that a part lacks has no AUROC.",
    )


def _write_patients(page: Page, evidence: Evidence) -> None:
    run, positive = evidence.run, evidence.metrics["positive"]
    table = patients_of(run)
    decisions = patient_scores(table, positive=positive)
    decisions["decision"] = decisions["decision"].map(DECISIONS)
    page.text(
        f"{len(table)} patients were tested. A patient's class is that of its cells. Intervals are "
        "Clopper-Pearson over patients."
    )
    page.save_table("patient_decisions", decisions)
    ends = zip(decisions.pop("low"), decisions.pop("high"), strict=True)
    decisions.insert(5, "95 %", [interval_text(pair, 2) for pair in ends])
    page.show_table(decisions, "Decisions on patients.")
    wrong = table[~table["right_by_mean"]]
    names = ", ".join(wrong["patient"])
    page.text(
        f"Wrong by the mean probability: {names}." if len(wrong) else "No patient is decided wrong."
    )
    if positive is not None:
        cells = pd.DataFrame(
            {
                "patient": evidence.cells["patient"],
                "probability": evidence.probabilities[:, run.positive],
            }
        )
        page.figure(
            "patients",
            plot_patients(table, cells, run.classes, positive),
            "Every test cell (points) and the mean of each patient (large markers).",
            wide=True,
        )
    page.save_table("patients", table)
    caption = "Every patient, those decided wrongly first. Fraction: cells called positive."
    page.show_table(short_table(table).head(MOST), caption)


def short_table(patients: pd.DataFrame) -> pd.DataFrame:
    """What a reader looks for in `patients.patient_table`."""
    table = patients[["patient", "label", "cells", "by_mean", "by_majority"]].copy()
    table.insert(3, "cells right", patients["right"])
    if "fraction" in patients:
        ends = zip(patients["fraction_low"], patients["fraction_high"], strict=True)
        table["by_fraction"] = patients["by_fraction"]
        table["probability"] = patients["probability"]
        table["fraction"] = patients["fraction"]
        table["fraction 95 %"] = [interval_text(pair, 2) for pair in ends]
    return table


def group_table(evidence: Evidence) -> pd.DataFrame:
    """group by, value, cells, patients, and scores."""
    cells = evidence.cells
    kinds = {name: cells[name].astype(str) for name in ("source", "part")}
    for column, title in QUALITY.items():
        kinds[title] = _terciles(cells[column])
    kinds["segmentation"] = cells["note"].where(cells["note"] != "", "as meant")
    rows = []
    for kind, values in kinds.items():
        for value in sorted(values.unique(), key=_order):
            rows.append({"by": kind, "value": value, **_scores(evidence, (values == value))})
    return pd.DataFrame(rows)


def _scores(evidence: Evidence, chosen: pd.Series) -> dict[str, object]:
    member = chosen.to_numpy()
    found = scores(
        evidence.labels[member], evidence.probabilities[member], classes=evidence.run.classes
    )
    patients = evidence.cells["patient"][member].nunique()
    counts = {
        name: int((evidence.labels[member] == k).sum())
        for k, name in enumerate(evidence.run.classes)
    }
    return {
        **counts,
        "patients": int(patients) if patients else "not recorded",
        "accuracy": found["accuracy"],
        "precision": found["precision"],
        "sensitivity": found["sensitivity"],
        "auroc": found["auroc"],
    }


def _terciles(values: pd.Series) -> pd.Series:
    if values.nunique() < 3:
        return pd.Series("all alike", index=values.index)
    ranks = values.rank(method="first", na_option="bottom")
    third = np.minimum(3 * (ranks.to_numpy() - 1) // len(ranks), 2).astype(int)
    return pd.Series(np.array(TERCILES)[third], index=values.index)


def _order(value: str) -> tuple[int, str]:
    return (TERCILES.index(value) if value in TERCILES else 0, value)
