"""How much the score of one model grows when its folds are dealt by image and not by patient."""

from typing import Any

import numpy as np
import pandas as pd

from oadls.comparison import compare_paired
from oadls.leakage.finding import Finding, Outcome
from oadls.leakage.trial import Trial, row_of

MARGIN = 0.03  # clean drawn cells reach .027 by chance (20 patients); C-NMC has .079 and .055
LEVEL = 0.05  # of the test that exchanges the two protocols for whole patients
JUDGED = {"auroc": "AUROC", "precision": "macro precision"}


def inflation(trial: Trial, *, by_patient: np.ndarray, by_image: np.ndarray) -> Outcome:
    """Compare one model under two protocols on the same cells.

    trial : the cells and who they belong to
    by_patient, by_image : (N, K) its out-of-fold probabilities, NaN where a cell was not tested
    """
    both = ~np.isnan(by_patient[:, 0]) & ~np.isnan(by_image[:, 0])
    found = compare_paired(
        trial.labels[both],
        by_image[both],
        by_patient[both],
        trial.groups[both],
        classes=trial.classes,
    )["difference"]
    rows = [
        row_of("by image", trial.score(by_image)),
        row_of("by patient", trial.score(by_patient)),
        difference_row(found, cells=int(both.sum())),
    ]
    return Outcome(judge(found), {"inflation": pd.DataFrame(rows)})


def judge(difference: dict[str, dict[str, Any]]) -> list[Finding]:
    """A finding when a score of `JUDGED` is higher by image, by the margin and beyond chance.

    difference : score -> {"value", "interval", "p"} of by image minus by patient
    """
    higher = [
        f"{title} {_signed(difference[score])}"
        for score, title in JUDGED.items()
        if inflated(difference[score])
    ]
    if not higher:
        return []
    return [
        Finding(
            "inflation",
            f"the same model scores higher when split by image: {', '.join(higher)}",
            "the gain is knowledge of the patients; nobody new will bring it",
            "report scores by patient only; a score by image is no estimate for new patients",
        )
    ]


def inflated(difference: dict[str, Any]) -> bool:
    """Higher by the margin, with an interval above 0, or p where patients are too few for one."""
    value, interval, p = (difference[key] for key in ("value", "interval", "p"))
    if value is None or value < MARGIN:
        return False
    return interval[0] > 0 if interval else p is not None and p < LEVEL


def _signed(difference: dict[str, Any]) -> str:
    interval, p = difference["interval"], difference["p"]
    spread = f"{interval[0]:+.3f} to {interval[1]:+.3f}, " if interval else ""
    return f"{difference['value']:+.3f} ({spread}p = {p:.3f})"


def difference_row(found: dict[str, dict[str, Any]], *, cells: int) -> dict[str, Any]:
    """A row as those of the scores, with the p of each."""
    row: dict[str, Any] = {"model": "difference", "cells": cells}
    for score, given in found.items():
        low, high = given["interval"] or (None, None)
        row |= {score: given["value"], f"{score}_low": low, f"{score}_high": high}
        row[f"{score}_p"] = given["p"]
    return row


def patients_known(groups: np.ndarray, patients: np.ndarray) -> bool:
    """Whether there are patients, and one of them has two cells or more."""
    return bool(pd.notna(patients).any()) and len(np.unique(groups.astype(str))) < len(groups)
