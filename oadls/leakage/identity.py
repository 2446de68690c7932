"""Who and what stands on two sides of a split: patients, images, two photographs of one cell."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from oadls.data.split import Split, find_leaks
from oadls.leakage.finding import Finding, Outcome, count, listed

KEYS = ["split", "column", "value", "sides", "cells"]


def two_sides(table: pd.DataFrame, splits: Sequence[Split], pairs: pd.DataFrame) -> Outcome:
    """Patients, identical images and near-duplicates on two sides of any of the splits.

    pairs : of `oadls.data.collect.duplicate_pairs`
    """
    leaks = pd.concat([find_leaks(table, s).assign(split=s.name) for s in splits])
    protocol = splits[0].protocol
    images = leaks[leaks["column"] == "pixels_sha256"]
    near = sum(_on_two_sides(pair, splits) for pair in pairs[pairs["kind"] == "near"].itertuples())
    findings = _people(table, splits, leaks)
    if len(images):
        number = count(images["value"].nunique(), "identical image")
        findings.append(
            Finding(
                "two sides",
                f"{number} on two sides of the split {protocol}",
                "a network is tested on pictures that it was trained on",
                "split by group: split=grouped_kfold keeps copies together",
            )
        )
    if near:
        number = count(near, "pair")
        findings.append(
            Finding(
                "two sides",
                f"{number} of near-duplicates on two sides of the split {protocol}",
                "a network is tested on cells that it was trained on, in another photograph",
                "split by group: split=grouped_kfold keeps copies together",
            )
        )
    return Outcome(findings, {"leaks": leaks[KEYS].reset_index(drop=True)})


def _people(table: pd.DataFrame, splits: Sequence[Split], leaks: pd.DataFrame) -> list[Finding]:
    """Patients on two sides, and people on two sides under two names."""
    protocol, findings = splits[0].protocol, []
    torn = leaks[leaks["column"] == "patient"]["value"].unique()
    if len(torn):
        share = trained_share(table, splits)
        findings.append(
            Finding(
                "two sides",
                f"{len(torn)} of {count(table['patient'].nunique(), 'patient')} on two sides of "
                f"the split {protocol}; {share:.0%} of its test cells have a patient who was "
                f"trained on",
                "the score is about patients that the network knows, not about new ones",
                "split by patient: split=grouped_kfold",
            )
        )
    names = table[~table["patient"].isin(torn)].groupby("group")["patient"].nunique()
    joined = set(leaks[leaks["column"] == "group"]["value"])
    both = sorted(joined & set(names.index[names > 1]))
    if both:
        findings.append(
            Finding(
                "two sides",
                f"{count(len(both), 'person', 'people')} on two sides of the split {protocol} "
                f"under two names: {listed(both)}",
                "the names differ, the images are the same: the test patient was trained on",
                "treat each of these groups as one patient",
            )
        )
    return findings


def trained_share(table: pd.DataFrame, splits: Sequence[Split]) -> float:
    """Share of the test cells, over all splits, whose patient has cells on the training side."""
    known = tested = 0
    for split in splits:
        side = table["name"].map(split.side)
        trained = set(table["patient"][side == "train"].dropna())
        known += int(table["patient"][side == "test"].isin(trained).sum())
        tested += int((side == "test").sum())
    return known / max(tested, 1)


def _on_two_sides(pair: Any, splits: Sequence[Split]) -> bool:
    sides = [(split.side[pair.name_a], split.side[pair.name_b]) for split in splits]
    return any(a != b and a and b for a, b in sides)
