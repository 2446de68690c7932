"""Do the probabilities mean what they say, and what threshold gives the wanted sensitivity?"""

import numpy as np
import pandas as pd

from oadls.calibration import reliability
from oadls.operating import Operating
from oadls.report.builder import Page, interval_text
from oadls.report.evidence import Evidence
from oadls.report.figures import plot_reliability
from oadls.run import probabilities_of
from oadls.statistics import proportion_interval


def write(page: Page, evidence: Evidence) -> None:
    page.section("calibration", "Calibration")
    run, operating = evidence.run, evidence.operating
    stages = {"as trained": run.test}
    if operating is None:
        page.note(
            "There are no validation cells here: neither a temperature nor a threshold could be "
            "chosen without looking at the test."
        )
    else:
        stages["temperature scaled"] = operating.calibrated
    tables = {
        name: reliability(cells["label"].to_numpy(), probabilities_of(cells), positive=run.positive)
        for name, cells in stages.items()
    }
    axis = "highest probability"
    if run.positive is not None:
        axis = f"predicted probability of {run.classes[run.positive]}"
    page.figure(
        "reliability",
        plot_reliability(tables, axis),
        "Reliability of the test cells. Bars are Clopper-Pearson 95 % intervals, which take cells "
        "as independent: they are too short.",
    )
    rows = [
        {"stage": stage, **found}
        for stage, found in zip(stages, evidence.metrics["calibration"].values(), strict=True)
    ]
    page.table("calibration", pd.DataFrame(rows), "Calibration error and Brier score.")
    bins = pd.concat([table.assign(stage=name) for name, table in tables.items()])
    page.save_table("reliability", bins)
    if operating is not None:
        _write_operating(page, evidence, operating)


def _write_operating(page: Page, evidence: Evidence, operating: Operating) -> None:
    page.text(
        f"The temperature of {evidence.each} minimises the negative log-likelihood of its own "
        "validation cells; it changes no predicted class."
    )
    if operating.flagged is not None:
        page.heading("A threshold for a wanted sensitivity")
        positive = evidence.run.classes[evidence.run.positive]  # type: ignore[index]
        page.text(
            f"On validation the threshold of {evidence.each} is the highest that finds "
            f"{operating.sensitivity:.0%} of the cells of class “{positive}”. On test it gives:"
        )
        page.table(
            "threshold",
            threshold_scores(operating.flagged, evidence),
            f"Test cells at the thresholds from validation; a cell counts once for {evidence.each} "
            "that tests it. Clopper-Pearson over cells, too short where cells are alike.",
        )
    page.table("networks", operating.networks, "What was set on validation, one by one.")


def threshold_scores(flagged: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """Sensitivity and specificity at the thresholds chosen on validation."""
    ill = flagged["label"].to_numpy() == evidence.run.positive
    called = flagged["flagged"].to_numpy()
    patients = evidence.run.table["patient"].to_numpy()[flagged["row"]]
    rows = []
    for name, member, right in (("sensitivity", ill, called), ("specificity", ~ill, ~called)):
        hits, total = int(right[member].sum()), int(member.sum())
        ends = [float(end) for end in proportion_interval(hits, total)]
        worst = pd.Series(right[member]).groupby(patients[member]).mean()
        rows.append(
            {
                "score": name,
                "value": hits / total if total else np.nan,
                "95 % over cells": interval_text(ends if total else None),
                "cells": total,
                "worst patient": f"{worst.idxmin()} ({worst.min():.3f})" if len(worst) else "–",
            }
        )
    return pd.DataFrame(rows)
