"""How sure the scores are: intervals over patients, and comparisons that keep patients whole."""

import sys

import numpy as np
import pandas as pd

from oadls.comparison import compare_paired
from oadls.report.builder import Page, interval_text
from oadls.report.evidence import Evidence
from oadls.report.terminal import FLOORS
from oadls.run import Run, probabilities_of
from oadls.statistics import group_intervals

COMPARED = ("precision", "auroc", "accuracy")


def write(page: Page, evidence: Evidence) -> None:
    page.section("uncertainty", "Uncertainty")
    uncertainty = evidence.metrics["test"]["uncertainty"]
    page.text(
        "Cells of one patient resemble each other, so that a thousand cells of ten patients are "
        "nearer to ten observations than to a thousand. The intervals here resample whole patients "
        "(images with their duplicates where no patient is known). The last column shows what "
        "resampling single cells would claim."
    )
    if uncertainty["warning"]:
        page.note(uncertainty["warning"].capitalize() + ".")
    page.table("intervals", intervals(evidence), _caption(uncertainty))
    rivals = {FLOORS[n]: probabilities_of(t) for n, t in evidence.floors.items() if n in FLOORS}
    if evidence.against is not None:
        rivals |= _other_run(evidence, evidence.against)
    if rivals:
        page.heading(f"Is {evidence.model} better?")
        page.text(
            f"Differences are {evidence.model} minus the other, on the same cells. Interval: "
            f"{evidence.unit} resampled. p ({evidence.unit}): the two models exchanged "
            f"for whole {evidence.unit} at random. "
            "McNemar and DeLong assume that cells are independent, which they are not: they are "
            "shown because readers ask for them, and are too sure."
        )
        page.table("comparisons", comparisons(evidence, rivals), "Paired comparisons.", digits=4)


def intervals(evidence: Evidence) -> pd.DataFrame:
    """score, value, interval over groups, interval over cells."""
    test = evidence.metrics["test"]
    alone = group_intervals(
        evidence.labels,
        evidence.probabilities,
        np.arange(len(evidence.labels)),
        classes=evidence.run.classes,
        resamples=500,
        unit="cells",
    )
    return pd.DataFrame(
        [
            {
                "score": score,
                "value": test[score],
                f"95 % over {evidence.unit}": interval_text(ends),
                "if cells were independent": interval_text(alone["intervals"][score]),
            }
            for score, ends in test["uncertainty"]["intervals"].items()
        ]
    )


def comparisons(evidence: Evidence, rivals: dict[str, np.ndarray]) -> pd.DataFrame:
    """other, score, difference, interval, p over patients, McNemar's and DeLong's p."""
    rows = []
    for name, probabilities in rivals.items():
        found = compare_paired(
            evidence.labels,
            evidence.probabilities,
            probabilities,
            evidence.run.groups,
            classes=evidence.run.classes,
        )
        tests = {"accuracy": found["mcnemar"], "auroc": found["delong"]}
        # a p too small for a float is not 0
        by_cells = {s: max(t["p"], sys.float_info.min) if t else np.nan for s, t in tests.items()}
        for score in COMPARED:
            difference = found["difference"][score]
            rows.append(
                {
                    "other": name,
                    "score": score,
                    "difference": difference["value"],
                    f"95 % over {evidence.unit}": interval_text(difference["interval"]),
                    f"p ({evidence.unit})": difference["p"],
                    "p McNemar (cells)": by_cells["accuracy"] if score == "accuracy" else np.nan,
                    "p DeLong (cells)": by_cells["auroc"] if score == "auroc" else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _other_run(evidence: Evidence, other: Run) -> dict[str, np.ndarray]:
    """The other run's probabilities of the same cells."""
    theirs = other.test.assign(key=other.table["pixels_sha256"].to_numpy()[other.test["row"]])
    theirs = theirs.drop_duplicates("key").set_index("key")  # equal pictures, equal predictions
    name = str(other.experiment.config.name)
    return {name: probabilities_of(theirs.loc[evidence.cells["pixels_sha256"]])}


def _caption(uncertainty: dict) -> str:
    counts = ", ".join(f"{n} of {name}" for name, n in uncertainty["groups_per_class"].items())
    return (
        f"95 % bootstrap intervals. Groups in the test: {counts}; a group is {uncertainty['unit']}."
    )
