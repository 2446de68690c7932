"""From cells to patients: what a run says of each person, and whether it is right.

A patient's class is that of most of its cells. Three decisions are made from a patient's cells: the
mean probability, the majority of the predicted classes and, where there is a positive class,
the fraction of cells called positive with its Clopper-Pearson interval, which abstains while the
interval holds one half. The interval speaks of this patient's other cells, not of other patients.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from oadls.statistics import proportion_interval

UNDECIDED = "undecided"


def patient_marks(table: pd.DataFrame, *, salt: str | None) -> pd.Series:
    """What a checkpoint knows each row's patient by, NaN where there is none.

    table : has the columns source and patient
    salt : of the checkpoint; None for one of before, which holds SOURCE:PATIENT in clear
    returns 32 hexadecimal digits of the SHA-256 of salt, source and patient

    Nobody reads a name out of a mark, and the marks of two checkpoints have nothing in common. They
    do not hide who takes part from somebody who knows the names: with the salt, which lies beside
    them, a list of patients can be tried one by one, and so can every number of four digits.
    """
    names = table["source"] + ":" + table["patient"]
    if salt is None:
        return names
    known = names.dropna().unique()
    marks = {n: hashlib.sha256(f"{salt}:{n}".encode()).hexdigest()[:32] for n in known}
    return names.map(marks)


def patient_table(
    patients: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    classes: Sequence[str],
    positive: int | None = None,
) -> pd.DataFrame:
    """One row a patient, those that are decided wrongly first.

    patients : (N,) str; labels : (N,) int; probabilities : (N, K) float
    returns patient, label, mixed (cells of several classes), cells, right (share of cells),
        by_mean, by_majority, right_by_mean, right_by_majority; with a positive class also
        probability (mean of that class), fraction, fraction_low, fraction_high, by_fraction
    """
    names = np.array(classes)
    cells = pd.DataFrame(probabilities).assign(
        patient=patients, label=labels, predicted=probabilities.argmax(axis=1)
    )
    rows = [
        {"patient": patient, **_describe(group, names, positive)}
        for patient, group in cells.groupby("patient", sort=True)
    ]
    table = pd.DataFrame(rows)
    return table.sort_values(["right_by_mean", "right"], kind="stable").reset_index(drop=True)


def _describe(cells: pd.DataFrame, names: np.ndarray, positive: int | None) -> dict[str, object]:
    label = _commonest(cells["label"], len(names))
    mean = cells[list(range(len(names)))].to_numpy().mean(axis=0)  # (K,)
    majority = _commonest(cells["predicted"], len(names))
    found: dict[str, object] = {
        "label": names[label],
        "mixed": bool(cells["label"].nunique() > 1),
        "cells": len(cells),
        "right": float((cells["label"] == cells["predicted"]).mean()),
        "by_mean": names[mean.argmax()],
        "by_majority": names[majority],
        "right_by_mean": bool(mean.argmax() == label),
        "right_by_majority": bool(majority == label),
    }
    if positive is not None:
        called = int((cells["predicted"] == positive).sum())
        low, high = (float(end) for end in proportion_interval(called, len(cells)))
        found |= {
            "probability": float(mean[positive]),
            "fraction": called / len(cells),
            "fraction_low": low,
            "fraction_high": high,
            "by_fraction": _by_fraction(low, high, names, positive),
        }
    return found


def _commonest(codes: pd.Series, number: int) -> int:
    return int(np.bincount(codes.to_numpy(), minlength=number).argmax())


def _by_fraction(low: float, high: float, names: np.ndarray, positive: int) -> str:
    """The side of one half that the fraction is surely on; "not all" where classes are many."""
    if low > 0.5:
        return str(names[positive])
    if high < 0.5:
        return str(names[1 - positive]) if len(names) == 2 else f"not {names[positive]}"
    return UNDECIDED


def patient_scores(table: pd.DataFrame, *, positive: str | None = None) -> pd.DataFrame:
    """How many patients each decision gets right: decision, patients, decided, right, share, low,
    high (Clopper-Pearson, 95 %) and, with a positive class, sensitivity and specificity.
    """
    rows = []
    for decision in ("by_mean", "by_majority", "by_fraction"):
        if decision not in table:
            continue
        decided = table[table[decision] != UNDECIDED]
        right = _agree(decided[decision], decided["label"])
        low, high = (float(end) for end in proportion_interval(int(right.sum()), len(decided)))
        row: dict[str, object] = {
            "decision": decision,
            "patients": len(table),
            "decided": len(decided),
            "right": int(right.sum()),
            "share": float(right.mean()) if len(decided) else np.nan,
            "low": low,
            "high": high,
        }
        if positive is not None:
            ill = (decided["label"] == positive).to_numpy()
            row["sensitivity"] = float(right[ill].mean()) if ill.any() else np.nan
            row["specificity"] = float(right[~ill].mean()) if (~ill).any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _agree(decision: pd.Series, label: pd.Series) -> np.ndarray:
    """(P,) bool; "not all" is right for every other class."""
    said = decision.to_numpy(str)
    truth = label.to_numpy(str)
    refused = np.char.startswith(said, "not ")
    return np.where(refused, said != np.char.add("not ", truth), said == truth)
