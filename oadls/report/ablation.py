"""The end of +experiment=ablation: does each stage of the paper help on cells not seen?

One row a data set and stage: the whole method less the method without that stage, on the same cells
of the same folds, averaged over the seeds, with an interval that resamples patients.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig
from rich.table import Table

from oadls.comparison import compare_paired, stack
from oadls.errors import UserError
from oadls.publish import publish_table
from oadls.report.builder import interval_text, shown
from oadls.report.figures import COLOURS, MARKERS, panel, save
from oadls.run_folder import RunFolder
from oadls.terminal import console
from oadls.trust import read_settings

log = logging.getLogger(__name__)

WHOLE = "nothing"  # what is left out of the whole method
STAGES = {
    "wiener": "Wiener filter",
    "dhe": "dynamic histogram equalization",
    "mask": "watershed mask",
    "crop": "crop",
    "attention": "attention",
    "bigru": "Bi-GRU",
}
SCORES = ("precision", "auroc")
# (cells, what is left out) -> seed -> metrics and predictions
Runs = dict[tuple[str, str], dict[int, tuple[dict, pd.DataFrame]]]


class WriteAblation(Callback):
    """Writes ablation.csv and its figure when the last run of the multirun has ended."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        write_ablation(Path(config.hydra.sweep.dir))


def write_ablation(folder: Path) -> pd.DataFrame:
    """Compare the finished runs below a multirun's folder; print, and write table and figure."""
    runs = read_runs(folder)
    table = ablation_table(runs)
    publish_table(folder / "ablation.csv", table)
    if len(table):
        save(plot_ablation(table), folder / "ablation")
    print_ablation(table, folder)
    return table


def read_runs(folder: Path) -> Runs:
    """The finished runs below a multirun's folder."""
    found: Runs = {}
    for file in sorted(folder.rglob("metrics.json")):
        home = RunFolder(file.parent)
        try:
            config = read_settings(file.parent / "config.yaml")
            run = home.metrics, home.predictions
        except UserError as error:  # as one that failed: the others are worth a table
            log.warning("left out: %s", error)
            continue
        key = (str(config["cells"]), str(config["without"]))
        found.setdefault(key, {})[int(config["seed"])] = run
    return found


def ablation_table(runs: Runs) -> pd.DataFrame:
    """cells, stage, seeds, and for precision and AUROC: whole, without, difference, interval, p.

    Seeds that only one side has do not count: a run may have failed, or not be finished.
    """
    rows = []
    for (cells, without), seeds in runs.items():
        whole_seeds = runs.get((cells, WHOLE), {})
        both = sorted(set(seeds) & set(whole_seeds))
        if without == WHOLE or not both:
            continue
        whole, members = [whole_seeds[s] for s in both], [seeds[s] for s in both]
        classes = whole[0][0]["classes"]
        pairs = [(a, b) for (_, a), (_, b) in zip(whole, members, strict=True)]
        labels, first, second, groups = stack(pairs, classes=classes)
        found = compare_paired(labels, first, second, groups, classes=classes)
        row: dict[str, object] = {"cells": cells, "stage": STAGES[without], "seeds": len(members)}
        for score in SCORES:
            values = found["difference"][score]
            row[f"{score} whole"] = np.mean([m["test"][score] for m, _ in whole])
            row[f"{score} without"] = np.mean([m["test"][score] for m, _ in members])
            row[f"{score} gain"] = values["value"]
            low, high = values["interval"] or (None, None)
            row[f"{score} low"], row[f"{score} high"] = low, high
            row[f"{score} p"] = values["p"]
        rows.append(row | {"unit": whole[0][0]["test"]["uncertainty"]["unit"]})
    if not rows:
        return pd.DataFrame()
    place = [(str(row["cells"]), list(STAGES.values()).index(str(row["stage"]))) for row in rows]
    return pd.DataFrame([rows[i] for i in np.lexsort(list(zip(*place, strict=True))[::-1])])


def plot_ablation(table: pd.DataFrame) -> Figure:
    """What each stage adds to macro precision; bars are intervals over patients."""
    sets = list(dict.fromkeys(table["cells"]))
    stages = [stage for stage in STAGES.values() if stage in set(table["stage"])]
    figure, axis = panel((5.2, 0.62 * len(stages) + 1.2))
    for k, cells in enumerate(sets):
        part = table[table["cells"] == cells].set_index("stage")
        for place, stage in enumerate(stages):
            if stage not in part.index:
                continue
            row, y = part.loc[stage], place + 0.2 * (k - (len(sets) - 1) / 2)
            label = cells if place == 0 else None
            axis.plot(row["precision gain"], y, MARKERS[k], color=COLOURS[k], ms=5, label=label)
            if pd.notna(row["precision low"]):
                ends = [row["precision low"], row["precision high"]]
                axis.plot(ends, [y, y], color=COLOURS[k], lw=1.3)
    axis.axvline(0, color="0.3", lw=0.8)
    axis.set_yticks(range(len(stages)), stages)
    axis.set(xlabel="macro precision that the stage adds")
    axis.invert_yaxis()
    figure.legend(frameon=False, ncols=len(sets), loc="outside upper center", fontsize=8)
    return figure


def print_ablation(table: pd.DataFrame, folder: Path) -> None:
    """The table, to a reader of the terminal."""
    printed = Table(title="What each stage adds on test cells (whole method less without it)")
    for name in ("cells", "stage", "seeds", *(c for s in SCORES for c in (s, "95 %", "p"))):
        printed.add_column(name)
    for row in table.to_dict("records"):
        values = []
        for score in SCORES:
            ends = row[f"{score} low"], row[f"{score} high"]
            interval = None if pd.isna(ends[0]) else ends
            values += [f"{row[f'{score} gain']:+.3f}", interval_text(interval)]
            values.append(shown(row[f"{score} p"], 3))
        printed.add_row(row["cells"], row["stage"], str(row["seeds"]), *values)
    console(width=120).print(printed)
    log.info("table and figure of the ablation: %s", folder / "ablation.csv")
