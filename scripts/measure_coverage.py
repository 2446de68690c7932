"""How often do 95 % intervals hold the true score when cells of a patient resemble each other?

python scripts/measure_coverage.py

Drawn patients with 4 to 40 cells each, whose true scores are known. Compares the interval that
oadls gives, the percentiles of the same resamples, and the bootstrap of single cells.
"""

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import expit
from scipy.stats import norm

from oadls.metrics import SCORES
from oadls.statistics import draws, group_intervals, groups_with, macro_scores

CLASSES = ["normal", "all"]
SIMULATIONS, SIMULATIONS_OF_CELLS = 1000, 250
SHOWN = ("auroc", "accuracy", "precision")
SHIFT = 0.3  # the threshold favours normal


@dataclass(frozen=True)
class Setting:
    """Patients of each class, how far apart the classes are, how much patients differ."""

    patients: int
    distance: float
    effect: float

    @property
    def correlation(self) -> float:
        """Of two cells of a patient, within a class."""
        return self.effect**2 / (1 + self.effect**2)

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, probabilities (N, 2) and patient of each cell."""
        rng = np.random.default_rng(seed)
        number = 2 * self.patients
        group = np.repeat(np.arange(number), rng.integers(4, 41, number))
        labels = group % 2
        score = (2 * labels - 1) * self.distance + self.effect * rng.normal(size=number)[group]
        score = expit(score + rng.normal(size=len(group)) - SHIFT)
        return labels, np.stack([1 - score, score], axis=1), group

    def truth(self) -> dict[str, float]:
        """The scores of infinitely many patients."""
        spread = np.hypot(1, self.effect)
        ill, well = (norm.cdf((self.distance + s * SHIFT) / spread) for s in (-1, 1))
        return {
            "auroc": float(norm.cdf(np.sqrt(2) * self.distance / spread)),
            "accuracy": float((ill + well) / 2),
            "precision": float((ill / (ill + 1 - well) + well / (well + 1 - ill)) / 2),
        }


SETTINGS = (
    Setting(patients=20, distance=1.0, effect=0.5),
    Setting(patients=20, distance=1.2, effect=1.0),
    Setting(patients=20, distance=2.3, effect=1.0),
    Setting(patients=10, distance=1.2, effect=1.0),
)


def intervals(setting: Setting, seed: int) -> dict[str, dict]:
    """The intervals of every method on one draw of patients."""
    labels, probabilities, group = setting.draw(seed)
    found = group_intervals(labels, probabilities, group, classes=CLASSES, resamples=400, seed=seed)
    held = groups_with(labels, group, number=2 * setting.patients, classes=2)
    scores_of = macro_scores(labels, probabilities.argmax(axis=1), probabilities, group)
    drawn = draws(held, cells=len(labels), resamples=400, seed=seed)
    resampled = np.concatenate([scores_of(weights) for weights in drawn], axis=1)  # (S, R)
    ends = np.nanquantile(resampled, [0.025, 0.975], axis=1).T  # (S, 2)
    methods = {
        "oadls": found["intervals"],
        "percentiles": dict(zip(SCORES, ends.tolist(), strict=True)),
    }
    if seed < SIMULATIONS_OF_CELLS:
        cells = np.arange(len(labels))
        alone = group_intervals(
            labels, probabilities, cells, classes=CLASSES, resamples=400, seed=seed
        )
        methods["cells as groups"] = alone["intervals"]
    return methods


def coverage(setting: Setting) -> dict[str, list[float]]:
    """method -> share of the intervals that hold the truth, for each shown score."""
    truth, held = setting.truth(), {}
    for seed in track(range(SIMULATIONS), transient=True):
        for method, found in intervals(setting, seed).items():
            hit = [bool(found[s] and found[s][0] <= truth[s] <= found[s][1]) for s in SHOWN]
            held.setdefault(method, []).append(hit)
    return {method: np.mean(hits, axis=0).tolist() for method, hits in held.items()}


def main() -> None:
    table = Table(title=f"coverage of 95 % intervals, {SIMULATIONS} simulations")
    for column in ("patients", "correlation", "true AUROC", "interval", *SHOWN):
        table.add_column(column)
    for setting in SETTINGS:
        for method, shares in coverage(setting).items():
            table.add_row(
                f"{setting.patients} + {setting.patients}",
                f"{setting.correlation:.1f}",
                f"{setting.truth()['auroc']:.2f}",
                method,
                *(f"{share:.1%}" for share in shares),
            )
    Console().print(table)


if __name__ == "__main__":
    main()
