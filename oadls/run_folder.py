"""What is in a run's folder, written and read in this one place, whoever asks.

config.yaml          the composed config
splits.csv           written first: every cell, and the side that it is on in each split
folds/NAME.json      written when a network is done: about it; NAME-predictions.csv what it says of
                     its cells, NAME-history.csv its epochs, NAME-tested how often it was tested
checkpoints/         weights
cells.csv, ...       from the report: cells with measurements, excluded.csv, floors.csv, history.csv
predictions.csv      one row a tested cell
metrics.json         written last: a folder with one holds a finished run

A cell is known by its picture and name, never by the row that it once stood in.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from oadls.data.same import KEY, match_cells, what_changed
from oadls.data.split import Split
from oadls.data.table import COLUMNS, OPTIONAL, Cells, data_fingerprint
from oadls.errors import UserError
from oadls.experiment import Experiment, build
from oadls.pipeline import PreparedCells
from oadls.publish import publish_table, publish_text
from oadls.run import Fit, Run, probabilities_of
from oadls.schema import check_config
from oadls.tables import not_whole, numbers_in, read_table
from oadls.trust import read_config

TEXTS = (*COLUMNS, "pixels_sha256", "note")
FOLDS = "folds"


def read_json(file: Path, *, needs: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON object; UserError for a file that is not there, is half, or lacks what it needs."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # of JSON or of UTF-8
        raise not_whole(file) from error
    if not isinstance(found, dict) or not set(needs) <= set(found):
        raise not_whole(file)
    return found


class RunFolder:
    """Reads the folder of a run; whatever is not whole is a UserError of one sentence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def config(self) -> DictConfig:
        """The composed config."""
        return read_config(self.folder / "config.yaml")

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json; UserError where there is none, for the run is not finished."""
        file = self.folder / "metrics.json"
        if not file.is_file():
            raise UserError(f"run: {self.folder} holds no finished run (metrics.json)")
        return read_json(file, needs=("test", "classes"))

    @property
    def predictions(self) -> pd.DataFrame:
        """predictions.csv: texts, and the columns prob_CLASS as float64; all its cells."""
        file, metrics = self.folder / "predictions.csv", self.metrics
        found = read_table(file)
        probabilities = [f"prob_{name}" for name in metrics["classes"]]
        if len(found) != metrics["test"]["cells"] or not {*probabilities, "path"} <= set(found):
            raise not_whole(file)
        return found.assign(**{name: numbers_in(found[name]) for name in probabilities})

    @property
    def cells(self) -> Cells:
        """cells.csv and excluded.csv, as a source gave them, with the measurements."""
        table = read_table(self.folder / "cells.csv")
        for column in table.columns:
            if column in OPTIONAL:
                table[column] = table[column].where(table[column] != "", None)
            elif column not in TEXTS:
                table[column] = numbers_in(table[column])
        return Cells(table, read_table(self.folder / "excluded.csv"))

    def run(self) -> Run:
        """The finished run as it was, from this folder alone: no image is opened.

        raises UserError where files of the folder do not belong together
        """
        metrics, config, cells = self.metrics, self.config, self.cells
        check_config(config)
        if data_fingerprint(cells.table) != metrics["data_fingerprint"]:
            raise UserError(f"run: cells.csv of {self.folder} has other cells than its metrics")
        prepared = PreparedCells(build(config.pipeline)(), bits=config.data.get("bits"))
        experiment = Experiment(config, cells, prepared)
        names = metrics.get("networks", self.fit_names)
        if not names or set(names) - set(self.fit_names):
            raise UserError(f"run: {self.folder} lacks folds of {sorted(names) or 'its networks'}")
        fits = [self.fit(name, cells.table, experiment.classes) for name in names]
        run = Run(
            experiment,
            [fit for fit in fits if fit],
            self.folder,
            metrics["protocol"],
            metrics["by_image"],
        )
        self._check_predictions(run)
        return run

    def _check_predictions(self, run: Run) -> None:
        """UserError unless predictions.csv says the same as the folds."""
        told = self.predictions.set_index("path")
        paths = run.table["path"].iloc[run.test["row"]]
        pooled = probabilities_of(run.test)
        columns = [f"prob_{name}" for name in run.classes]
        if set(paths) != set(told.index) or not np.allclose(
            told.loc[paths, columns].to_numpy(float), pooled, rtol=0, atol=1e-9
        ):
            raise UserError(
                f"run: predictions.csv of {self.folder} says other things than its folds: they "
                "are not of one run, or a report of an older oadls mixed up the cells"
            )

    def floors(self, run: Run) -> dict[str, pd.DataFrame] | None:
        """floors.csv in the rows of run.test; None where there is no such file."""
        if not (self.folder / "floors.csv").is_file():
            return None
        told = read_table(self.folder / "floors.csv").set_index("path")
        paths = run.table["path"].iloc[run.test["row"]]
        ends = tuple(f"_prob_{name}" for name in run.classes)
        if set(paths) != set(told.index) or len(told.columns) % len(ends):
            raise not_whole(self.folder / "floors.csv")
        names = [column.removesuffix(ends[0]) for column in told.columns[:: len(ends)]]
        return {
            name: run.test[["row", "label", "fold", "networks"]].assign(
                **{
                    f"probability_{k}": numbers_in(told.loc[paths, name + end]).to_numpy(float)
                    for k, end in enumerate(ends)
                }
            )
            for name in names
        }

    @property
    def fit_names(self) -> list[str]:
        """The networks that are done."""
        files = (self.folder / FOLDS).glob("*.json")
        return sorted(file.stem for file in files if not file.name.startswith("."))

    def facts_of(self, name: str) -> dict[str, Any]:
        """What folds/NAME.json says."""
        needs = ("fold", "fitness", "checkpoint")
        return read_json(self.folder / FOLDS / f"{name}.json", needs=needs)

    def sides_of(self, name: str) -> pd.Series:
        """The side of each cell that a network has predicted."""
        return self._stored_predictions(name)["side"]

    def fit(self, name: str, table: pd.DataFrame, classes: Sequence[str]) -> Fit | None:
        """A network that is done, its predictions in the rows of a table; None where it is not.

        table : the cells of the run, in any order
        raises UserError where they are other cells
        """
        if not (self.folder / FOLDS / f"{name}.json").is_file():
            return None
        facts = self.facts_of(name)
        checkpoint = Path(facts["checkpoint"])
        moved = self.folder / "checkpoints" / checkpoint.name  # the folder may have been renamed
        stored = self._stored_predictions(name)
        by_number = not set(KEY) <= set(stored)
        fit = Fit(
            name,
            facts["fold"],
            facts.get("repeat", 0),
            _numbered(stored, table, classes) if by_number else _joined(stored, table, classes),
            self._history(name),
            _or_nan(facts["fitness"]),
            moved if moved.is_file() else checkpoint,
            _or_nan(facts.get("seconds")),
            facts.get("tuned", ""),
            facts.get("trained", facts["fitness"] is not None),
            facts.get("tested"),
        )
        if by_number:
            _prove(self, fit, table, classes)
        return fit

    def _stored_predictions(self, name: str) -> pd.DataFrame:
        file = self.folder / FOLDS / f"{name}-predictions.csv"
        stored, cells = read_table(file), self.facts_of(name).get("cells")
        if "side" not in stored or cells not in (None, len(stored)):
            raise not_whole(file)
        return stored

    def _history(self, name: str) -> pd.DataFrame:
        file = self.folder / FOLDS / f"{name}-history.csv"
        if not file.is_file():
            return pd.DataFrame()
        return read_table(file).apply(numbers_in)

    def write_fit(self, fit: Fit, table: pd.DataFrame, classes: Sequence[str]) -> None:
        """Publish a finished fit in folds; its .json comes last.

        table : that the rows of its predictions are of
        """
        place, rows = self.folder / FOLDS, fit.predictions["row"].to_numpy()
        told = table[["name", "pixels_sha256", "patient"]].iloc[rows].reset_index(drop=True)
        told.insert(0, "row", rows)  # in cells.csv, for readers: nothing is joined by it
        told["side"] = fit.predictions["side"].to_numpy()
        told["label"] = np.array(classes, dtype=object)[fit.predictions["label"].to_numpy()]
        chances = fit.predictions.filter(regex=r"^probability_\d+$").reset_index(drop=True)
        publish_table(place / f"{fit.name}-predictions.csv", pd.concat([told, chances], axis=1))
        if len(fit.history):
            publish_table(place / f"{fit.name}-history.csv", fit.history)
        facts = {
            "fold": fit.fold,
            "repeat": fit.repeat,
            "fitness": _or_none(fit.fitness),
            "checkpoint": str(fit.checkpoint),
            "seconds": _or_none(fit.seconds),
            "tuned": fit.tuned,
            "trained": fit.trained,
            "tested": fit.tested,
            "cells": len(told),
        }
        publish_text(place / f"{fit.name}.json", json.dumps(facts))

    def _check_older(self, splits: list[Split], experiment: Experiment) -> None:
        """UserError unless what an older oadls left here is proven to be of these very splits."""
        if not self.fit_names and any((self.folder / "checkpoints").glob("*.ckpt")):
            raise _unproven()
        dealt = {split.name: experiment.sides(split) for split in splits}
        for name in self.fit_names:
            fit = self.fit(name, experiment.table, experiment.classes)
            assert fit is not None
            rows, sides = fit.predictions["row"], fit.predictions["side"].to_numpy(str)
            if name not in dealt or (dealt[name][rows] != sides).any():
                raise _unproven()

    @property
    def has_splits(self) -> bool:
        """Whether it is written down with which cells the run began."""
        return (self.folder / "splits.csv").is_file()

    @property
    def began_with(self) -> pd.DataFrame:
        """The cells that the run began with: KEY, and the side in each split by its name."""
        before = read_table(self.folder / "splits.csv")
        if not set(KEY) <= set(before):
            raise not_whole(self.folder / "splits.csv")
        return before.assign(**_known(before))

    def note_test(self, name: str) -> None:
        """Write down that the test part of a split is about to be predicted."""
        file = self.folder / FOLDS / f"{name}-tested"
        publish_text(file, f"{self.tested(name) + 1}\n")

    def tested(self, name: str) -> int:
        """How often the test part of a split was predicted in this run so far."""
        file = self.folder / FOLDS / f"{name}-tested"
        return int(file.read_text() or 0) if file.is_file() else 0

    def keep_splits(self, splits: list[Split], experiment: Experiment) -> list[Split]:
        """The splits that the run began with: of a new run these, which are written down.

        raises UserError, with what changed, where the cells are others than when it began
        """
        table = experiment.table
        if not self.has_splits:
            self._check_older(splits, experiment)
            sides = {split.name: table["name"].map(split.side).to_numpy() for split in splits}
            publish_table(self.folder / "splits.csv", table[KEY].assign(**sides))
            return splits
        before = self.began_with
        if changed := what_changed(before, table):
            raise UserError(
                f"ckpt_path: the cells are others than when {self.folder} began: {changed}; give "
                "it back the cells that it had, or train a new run"
            )
        if {split.name for split in splits} != set(before.columns[len(KEY) :]):
            raise UserError(f"ckpt_path: {self.folder} began with other splits; train a new run")
        began = before.iloc[match_cells(before, table)]
        names = table["name"].to_numpy()
        return [
            replace(split, side=pd.Series(began[split.name].to_numpy(), names, name="side"))
            for split in splits
        ]


def _joined(stored: pd.DataFrame, table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Predictions as `Fit.predictions`, each cell in the row where the table has it."""
    rows = match_cells(table, _known(stored))
    same = rows >= 0
    same[same] = table["label"].to_numpy(object)[rows[same]] == stored["label"].to_numpy()[same]
    if not same.all():
        names = ", ".join(stored["name"][~same].head(3))
        raise UserError(
            f"run: {(~same).sum()} of {len(same)} cells that a network has predicted are not in "
            f"the table, or have another label there ({names})"
        )
    return _as_predictions(rows, stored, [classes.index(name) for name in stored["label"]])


def _known(cells: pd.DataFrame) -> pd.DataFrame:
    """KEY, with None for what is unknown."""
    return cells[KEY].where(cells[KEY] != "", None)


def _numbered(stored: pd.DataFrame, table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Predictions of older runs, which kept cells by row."""
    rows = numbers_in(stored["row"]).to_numpy(int)
    if rows.max(initial=-1) >= len(table):
        raise _unproven()
    return _as_predictions(rows, stored, numbers_in(stored["label"]).tolist())


def _as_predictions(rows: np.ndarray, stored: pd.DataFrame, labels: list[int]) -> pd.DataFrame:
    chances = stored.filter(regex=r"^probability_\d+$").apply(numbers_in)
    known = pd.DataFrame({"row": rows, "side": stored["side"].to_numpy(str), "label": labels})
    return pd.concat([known, chances], axis=1)


def _prove(home: RunFolder, fit: Fit, table: pd.DataFrame, classes: Sequence[str]) -> None:
    """UserError unless the rows of an older run are surely those of the table.

    The folder's own cells.csv must be what its metrics.json speaks of, stand in the same order as
    the table, and agree with the label of every prediction.
    """
    rows, labels = fit.predictions["row"].to_numpy(), fit.predictions["label"].to_numpy(int)
    try:
        own, fingerprint = home.cells.table, home.metrics["data_fingerprint"]
    except UserError as error:
        raise _unproven() from error
    same = all(own[key].tolist() == table[key].tolist() for key in ("name", "pixels_sha256"))
    said = np.array(classes, dtype=object)[labels].tolist()
    told = own["label"].iloc[rows].tolist()
    if not (same and said == told and data_fingerprint(own) == fingerprint):
        raise _unproven()


def _unproven() -> UserError:
    return UserError(
        "run: an older oadls kept the cells of this run by the number of their row, and nothing "
        "proves that they are still the same; train it again"
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
