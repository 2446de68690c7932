"""Everything that the sections of a report draw on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from oadls.operating import Operating
from oadls.run import Run, probabilities_of
from oadls.statistics import FEW_GROUPS

NO_PATIENTS = (
    "Patients are not recorded in this data set. Cells of one person look alike, and nothing here "
    "can show that no person stands on both sides of the split: how these scores would fall on "
    "new patients is unknown. "
)


@dataclass(frozen=True)
class Evidence:
    """A run, its scores, its trivial baselines and its settings from validation.

    floors : name -> test predictions in the rows of run.test
    operating : None where nothing could be fitted on validation
    against : another run to compare with, or None
    """

    run: Run
    metrics: dict[str, Any]
    floors: dict[str, pd.DataFrame]
    operating: Operating | None
    against: Run | None = None

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int of the tested cells."""
        return self.run.test["label"].to_numpy()

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, K) of the tested cells."""
        return probabilities_of(self.run.test)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The tested cells: a row each of the table of cells, in the order of run.test."""
        return self.run.table.iloc[self.run.test["row"]].reset_index(drop=True)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N,) int."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    @property
    def model(self) -> str:
        """What was trained, in words."""
        return "the network" if self.run.experiment.is_network else "the estimator"

    @property
    def each(self) -> str:
        """Every fit, in words."""
        return f"each {self.model.removeprefix('the ')}"

    @property
    def unit(self) -> str:
        """What a resample draws."""
        return "patients" if self.run.patients_known else "images"

    @property
    def why_no_interval(self) -> str:
        """Why a score has none: too few groups, or all resamples alike, as of a perfect score."""
        groups = self.metrics["test"]["uncertainty"]["groups_per_class"]
        few = min(groups.values()) < FEW_GROUPS
        return f"too few {self.unit}" if few else "every resample agrees"

    def names(self, codes: np.ndarray) -> np.ndarray:
        """Class indices to names."""
        return np.array(self.run.classes)[codes]
