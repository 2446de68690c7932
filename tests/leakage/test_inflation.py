"""Knowledge of patients inflates a score by image, and is told from chance."""

import numpy as np
import pandas as pd
import pytest

from oadls.baselines.floors import probe
from oadls.data.split import grouped_kfold, image_kfold
from oadls.leakage.inflation import inflated, inflation, patients_known
from oadls.leakage.trial import Trial


def difference(value: float | None, interval: list[float] | None, p: float | None) -> dict:
    return {"value": value, "interval": interval, "p": p}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (difference(0.05, [0.01, 0.09], 0.02), True),
        (difference(0.05, [-0.01, 0.11], 0.10), False),
        (difference(0.02, [0.01, 0.03], 0.001), False),  # certain and small
        (difference(0.08, None, 0.01), True),  # too few patients for an interval
        (difference(0.08, None, 0.10), False),
        (difference(-0.08, [-0.1, -0.06], 0.01), False),
        (difference(None, None, None), False),
    ],
)
def test_inflation_is_more_than_the_margin_and_more_than_chance(given: dict, found: bool) -> None:
    assert inflated(given) == found


def measured(*, mark: float, biology: float):
    """A probe on features that hold a mark of the patient and the class, by image and by patient.

    mark, biology : how far they stand out from noise of unit variance
    """
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(24), 10)
    labels = group % 2
    features = rng.normal(size=(240, 40)) + mark * rng.normal(size=(24, 40))[group]
    features[:, 0] += biology * (2 * labels - 1)
    table = pd.DataFrame(
        {
            "name": [f"c{i:03d}" for i in range(240)],
            "label": np.array(["normal", "all"])[labels],
            "group": [f"P{g:02d}" for g in group],
        }
    )
    trials = []
    for rule in (grouped_kfold, image_kfold):
        splits = rule(table, seed=0, folds=4)
        sides = [table["name"].map(split.side).to_numpy(str) for split in splits]
        trials.append(Trial(labels, table["group"].to_numpy(), ["normal", "all"], sides))
    by_patient, by_image = (trial.predict(probe, features) for trial in trials)
    return inflation(trials[0], by_patient=by_patient, by_image=by_image)


def test_marks_of_patients_inflate_the_score_by_image() -> None:
    found = measured(mark=1.5, biology=0.5)
    (only,) = found.findings
    assert "AUROC +" in only.what
    table = found.tables["inflation"].set_index("model")
    assert table.loc["by image", "auroc"] > table.loc["by patient", "auroc"] + 0.1
    assert table.loc["difference", "auroc"] == pytest.approx(
        table.loc["by image", "auroc"] - table.loc["by patient", "auroc"]
    )


def test_cells_that_are_alike_in_all_patients_are_not_inflated() -> None:
    assert measured(mark=0.0, biology=0.8).findings == []


def test_without_patients_or_with_one_image_each_there_is_nothing_to_measure() -> None:
    groups, patients = np.array(list("aabb")), np.array(list("PPQQ"), dtype=object)
    assert patients_known(groups, patients)
    assert not patients_known(groups, np.array([None] * 4, dtype=object))
    assert not patients_known(np.array(list("abcd")), patients)
