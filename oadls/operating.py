"""What is set on validation before testing: temperature, threshold, prediction sets.

Each network is calibrated on its own validation side and keeps its hands off its test side.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from oadls.calibration import apply_temperature, fit_temperature, threshold_for_sensitivity
from oadls.conformal import prediction_sets
from oadls.run import Run, pool_networks, probabilities_of


@dataclass(frozen=True)
class Operating:
    """Settings made on validation, and what they give on test.

    networks : network, validation_cells, temperature, and threshold where there is a positive class
    calibrated : as Run.test, with probabilities after temperature scaling
    flagged : network, row, label, flagged (bool, probability at or above the network's threshold);
        None without a positive class
    sets : network, row, label, set_0 ... set_{K-1} (bool): the classes that the set holds
    sensitivity, coverage : what was wanted
    """

    networks: pd.DataFrame
    calibrated: pd.DataFrame
    flagged: pd.DataFrame | None
    sets: pd.DataFrame
    sensitivity: float
    coverage: float


def operate(run: Run, *, sensitivity: float = 0.95, coverage: float = 0.9) -> Operating | None:
    """Fit on validation, apply to test; None where no network has both sides.

    sensitivity : wanted of the positive class, by the threshold
    coverage : wanted share of prediction sets that hold the true class
    """
    networks, calibrated, flagged, sets = [], [], [], []
    for name, rows in run.predictions.groupby("network", sort=False):
        val, test = rows[rows["side"] == "val"], rows[rows["side"] == "test"]
        if val.empty or test.empty:
            continue
        labels, before = val["label"].to_numpy(), probabilities_of(val)
        new = probabilities_of(test)
        temperature = fit_temperature(labels, before)
        facts = {"network": name, "validation_cells": len(val), "temperature": temperature}
        calibrated.append(_replace(test, apply_temperature(new, temperature)))
        inside = prediction_sets(labels, before, new, coverage=coverage)
        sets.append(_decisions(test, {f"set_{k}": column for k, column in enumerate(inside.T)}))
        positive = run.positive
        if positive is not None and (labels == positive).any():
            threshold = threshold_for_sensitivity(
                labels == positive, before[:, positive], wanted=sensitivity
            )
            facts["threshold"] = threshold
            flagged.append(_decisions(test, {"flagged": new[:, positive] >= threshold}))
        networks.append(facts)
    if not networks:
        return None
    return Operating(
        pd.DataFrame(networks),
        pool_networks(pd.concat(calibrated, ignore_index=True)),
        pd.concat(flagged, ignore_index=True) if flagged else None,
        pd.concat(sets, ignore_index=True),
        sensitivity,
        coverage,
    )


def _replace(rows: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    return rows.assign(**{f"probability_{k}": p for k, p in enumerate(probabilities.T)})


def _decisions(rows: pd.DataFrame, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    return rows[["network", "row", "label"]].assign(**columns)
