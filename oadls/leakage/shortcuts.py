"""What can be told without looking at the cell as a hematologist does: floor, colour, size.

Every model is fitted, tuned and tested on the same folds, by patient; its inputs are
    background  frozen backbone features of the picture with a disc over the cell
    colour      mean colours of cell, nucleus, cytoplasm and background
    size        areas of cell and nucleus
    picture     frozen backbone features of the experiment's own crop
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from oadls.baselines.floors import WEIGHTS, by_size, probe
from oadls.leakage.confounds import is_cut_out
from oadls.leakage.finding import Finding, Outcome
from oadls.leakage.trial import Trial, row_of

# Nothing in a background is about the cell, so little is enough. Measured: drawn cells of 20 and 40
# patients .37 and .58, ALL-IDB2 .92. Twenty patients scatter by .2, hence the interval as well.
BACKGROUND_AUROC = 0.65
# Blasts are larger and bluer, so size and colour may tell something; they are a finding when they
# tell much and the picture adds less than MARGIN. Measured, size against picture: drawn cells .92
# and .97, C-NMC fold_1 .86 and .82.
BIOLOGY_AUROC, MARGIN = 0.70, 0.02

SIZES = ("cell_area", "nucleus_area")
PARTS = ("cell", "nucleus", "cytoplasm", "background")
MODELS = {"background": probe, "colour": lambda: by_colour(), "size": by_size, "picture": probe}


def shortcuts(
    trial: Trial, table: pd.DataFrame, *, picture: np.ndarray, background: np.ndarray | None
) -> tuple[Outcome, np.ndarray]:
    """Score every shortcut and the picture model, and judge them.

    table : one row a cell, with its measurements
    picture, background : (N, C) features; None where there is no background
    returns the outcome and the picture model's (N, K) out-of-fold probabilities
    """
    inputs = {"colour": colours(table), "size": table[list(SIZES)].to_numpy(), "picture": picture}
    if background is not None:
        inputs = {"background": background, **inputs}
    predicted = {name: trial.predict(MODELS[name], given) for name, given in inputs.items()}
    found = {name: trial.score(probabilities) for name, probabilities in predicted.items()}
    evidence = pd.DataFrame([row_of(name, scored) for name, scored in found.items()])
    return Outcome(judge(found), {"shortcuts": evidence}), predicted["picture"]


def judge(found: dict[str, dict[str, Any]]) -> list[Finding]:
    """The findings among the scores of the models, by name, as `Trial.score` returns them."""
    picture, findings = found["picture"]["auroc"], []
    if "background" in found:
        auroc, interval = found["background"]["auroc"], found["background"]["intervals"]["auroc"]
        if auroc >= BACKGROUND_AUROC and (interval is None or interval[0] > 0.5):
            findings.append(
                Finding(
                    "shortcuts",
                    f"the background alone gives an AUROC of {auroc:.3f}{_range(interval)}; "
                    f"the picture model has {picture:.3f}",
                    "nothing there is about the cell: the classes were photographed differently",
                    "show the network the cell alone (crop=cell), and report this floor beside "
                    "any score on whole pictures",
                )
            )
    for name in ("colour", "size"):
        auroc = found[name]["auroc"]
        if auroc >= BIOLOGY_AUROC and auroc >= picture - MARGIN:
            findings.append(
                Finding(
                    "shortcuts",
                    f"{name} alone gives an AUROC of {auroc:.3f}"
                    f"{_range(found[name]['intervals']['auroc'])}; "
                    f"the picture model has {picture:.3f}",
                    "a network that does not beat this has learned nothing else",
                    "report this floor beside every score, and claim only what is above it",
                )
            )
    return findings


def _range(interval: list[float] | None) -> str:
    return f" (95 % interval {interval[0]:.2f}–{interval[1]:.2f})" if interval else ""


def colours(table: pd.DataFrame) -> np.ndarray:
    """(N, 12) mean colours; NaN where a part is absent, as the background of a cut-out cell is."""
    columns = [f"{part}_mean_{band}" for part in PARTS for band in "rgb"]
    found = table[columns].to_numpy(float, copy=True)
    found[is_cut_out(table).to_numpy(), -3:] = np.nan
    return found


def by_colour() -> list:
    """Logistic regressions on colours; an absent part has the mean colour of the others."""
    return [
        make_pipeline(
            SimpleImputer(keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(class_weight=weight, max_iter=1000),
        )
        for weight in WEIGHTS
    ]
