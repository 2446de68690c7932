"""What a run leaves behind: the predictions of every network, on every side, and how they pool."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from oadls.data.split import Split, find_leaks
from oadls.experiment import Experiment

NEW_CELLS = "each cell by the checkpoints that have not seen its patient"  # no split at all
SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Fit:
    """What one network, or one estimator in its place, left behind.

    name, fold, repeat : of its split
    predictions : row (of the table), side, label (index), probability_0 ... of every cell in it
    history : one row an epoch, empty for a network that was not trained here
    fitness : best validation fitness, NaN for one that was not trained here
    checkpoint : its weights
    seconds : of training it, and all that were tried beside it; NaN where unknown
    tuned : the entry of the config's `tune` that validation chose; empty without a choice
    trained : False where a checkpoint of another run predicts here
    tested : how often its test part has been predicted in this run; None where unknown
    """

    name: str
    fold: int
    repeat: int
    predictions: pd.DataFrame
    history: pd.DataFrame
    fitness: float
    checkpoint: Path
    seconds: float = math.nan
    tuned: str = ""
    trained: bool = True
    tested: int | None = None


@dataclass(frozen=True)
class Run:
    """The networks of one experiment and what they predict.

    protocol : name of the split; by_image : a patient may stand on two sides of it
    """

    experiment: Experiment
    fits: list[Fit]
    folder: Path
    protocol: str
    by_image: bool

    @property
    def table(self) -> pd.DataFrame:
        """One row an image."""
        return self.experiment.table

    @property
    def classes(self) -> list[str]:
        """In the order of the probabilities."""
        return self.experiment.classes

    @cached_property
    def positive(self) -> int | None:
        """The class that is to be found, as an index; None where the config names none."""
        name = self.experiment.positive
        return None if name is None else self.classes.index(name)

    @property
    def fitness(self) -> float:
        """Mean of the best validation fitness of each network, by which a sweep ranks."""
        return sum(fit.fitness for fit in self.fits) / len(self.fits)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What every network says of its cells: network, fold, repeat, row, side, label, ..."""
        return pd.concat(
            [
                fit.predictions.assign(network=fit.name, fold=fit.fold, repeat=fit.repeat)
                for fit in self.fits
            ],
            ignore_index=True,
        )

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch and network; empty where nothing was trained."""
        return pd.concat([fit.history.assign(network=fit.name) for fit in self.fits])

    def side(self, side: str) -> pd.DataFrame:
        """Predictions of one side, a row for each network and cell."""
        return self.predictions[self.predictions["side"] == side].reset_index(drop=True)

    @cached_property
    def test(self) -> pd.DataFrame:
        """One row a tested cell: the mean over the networks that had it on their test side."""
        return pool_networks(self.side("test"))

    @cached_property
    def groups(self) -> np.ndarray:
        """The group of each row of `test`: what a resample draws."""
        return self.table["group"].to_numpy(str)[self.test["row"]]

    @cached_property
    def patients_known(self) -> bool:
        """Whether every tested cell has a patient."""
        return not self.table["patient"].iloc[self.test["row"]].isna().any()

    @cached_property
    def leaks(self) -> pd.DataFrame:
        """Patients, groups and images that stand on two sides: column, value, sides, cells."""
        parts = [find_leaks(self.table, split_of(fit, self)) for fit in self.fits]
        return pd.concat(parts, ignore_index=True).drop_duplicates(["column", "value", "sides"])

    @property
    def withheld(self) -> str:
        """Why the test score must not be a headline; empty when it may be one."""
        if self.leaks.empty or self.experiment.config.get("headline_leaks", False):
            return ""
        return f"{describe_leaks(self.leaks)} of this split; headline_leaks=true shows it anyway"


def describe_leaks(leaks: pd.DataFrame) -> str:
    """ "12 patients stand in train and test", of the first kind of leak that there is."""
    kinds = {"patient": "patients", "group": "groups", "pixels_sha256": "images"}
    for column, name in kinds.items():
        found = leaks[leaks["column"] == column]
        if len(found):
            return f"{found['value'].nunique()} {name} stand on two sides"
    return ""


def pool_networks(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: row, label, fold (of its first repeat), networks, mean probabilities."""
    columns = predictions.filter(regex=r"^probability_\d+$").columns.tolist()
    cells = predictions.groupby("row", as_index=False)
    pooled = cells.agg(label=("label", "first"), fold=("fold", "first"), networks=("row", "size"))
    return pooled.join(cells[columns].mean()[columns])


def prediction_rows(
    rows: np.ndarray, side: str, labels: np.ndarray, probabilities: np.ndarray
) -> pd.DataFrame:
    """What a fit says of the cells of one side, as `Fit.predictions`; probabilities (N, K)."""
    part = pd.DataFrame({"row": rows, "side": side, "label": labels})
    for k in range(probabilities.shape[1]):
        part[f"probability_{k}"] = probabilities[:, k]
    return part


def probabilities_of(predictions: pd.DataFrame) -> np.ndarray:
    """(N, K) float64 from the columns probability_0 ..."""
    return predictions.filter(regex=r"^probability_\d+$").to_numpy()


def split_of(fit: Fit, run: Run) -> Split:
    """The split that a network was fitted on, from its predictions."""
    side = pd.Series(sides_of(fit, len(run.table)), index=run.table["name"].to_numpy())
    return Split(run.protocol, fit.fold, side, run.by_image)


def sides_of(fit: Fit, cells: int) -> np.ndarray:
    """(N,) str, the side of each row of the table in a fit."""
    side = np.full(cells, "", dtype="<U5")
    side[fit.predictions["row"]] = fit.predictions["side"]
    return side
