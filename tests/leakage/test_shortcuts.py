"""The rules by which a shortcut is a finding, and the inputs that it sees."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from oadls.baselines.floors import by_size
from oadls.data.split import grouped_kfold
from oadls.leakage.shortcuts import colours, judge, shortcuts
from oadls.leakage.trial import Trial

COLOUR = [f"{part}_mean_{band}" for part in ("cell", "nucleus", "cytoplasm", "background")
          for band in "rgb"]  # fmt: skip


def scored(auroc: float, interval: list[float] | None = None) -> dict:
    return {"auroc": auroc, "intervals": {"auroc": interval}}


def judged(**found: dict) -> list[str]:
    return [finding.what.split(" alone")[0] for finding in judge(found)]


dull = partial(scored, 0.5)


@pytest.mark.parametrize(
    ("auroc", "interval", "found"),
    [
        (0.64, [0.55, 0.7], False),
        (0.66, [0.55, 0.7], True),
        (0.66, [0.45, 0.8], False),  # chance does this
        (0.66, None, True),  # too few patients for an interval
    ],
)
def test_a_background_that_tells_the_class_is_found(
    auroc: float, interval: list[float] | None, found: bool
) -> None:
    models = {"colour": dull(), "size": dull(), "picture": scored(0.99)}
    assert judged(background=scored(auroc, interval), **models) == ["the background"] * found


@pytest.mark.parametrize("name", ["size", "colour"])
@pytest.mark.parametrize(
    ("auroc", "picture", "found"),
    [
        (0.86, 0.82, True),  # C-NMC: size beats the picture
        (0.86, 0.87, True),
        (0.86, 0.89, False),
        (0.69, 0.50, False),  # neither tells much
    ],
)
def test_biology_is_found_when_the_picture_adds_nothing(
    name: str, auroc: float, picture: float, found: bool
) -> None:
    models = {"size": dull(), "colour": dull(), "picture": scored(picture)}
    assert judged(**(models | {name: scored(auroc)})) == [name] * found


def cells(number: int = 120) -> tuple[pd.DataFrame, Trial]:
    """Ten patients of each class; sick cells are twice as large and nothing else."""
    rng = np.random.default_rng(0)
    group = np.repeat([f"P{i:02d}" for i in range(20)], number // 20)
    labels = np.repeat(np.arange(20) % 2, number // 20)
    table = pd.DataFrame(rng.uniform(50, 200, (number, 12)), columns=COLOUR).assign(
        name=[f"c{i}" for i in range(number)],
        label=np.array(["normal", "all"])[labels],
        group=group,
        black_fraction=0.0,
        cell_area=1000 * (1 + labels) * rng.uniform(0.9, 1.1, number),
        nucleus_area=500 * (1 + labels) * rng.uniform(0.9, 1.1, number),
    )
    splits = grouped_kfold(table, seed=0, folds=5)
    sides = [table["name"].map(split.side).to_numpy(str) for split in splits]
    return table, Trial(labels, group, ["normal", "all"], sides)


def test_size_that_beats_the_picture_is_found_on_arrays() -> None:
    table, trial = cells()
    noise = np.random.default_rng(1).normal(size=(len(table), 8))
    found, probabilities = shortcuts(trial, table, picture=noise, background=noise)
    assert [finding.what.split(" gives")[0] for finding in found.findings] == ["size alone"]
    assert found.tables["shortcuts"]["model"].tolist() == [
        "background", "colour", "size", "picture",
    ]  # fmt: skip
    assert probabilities.shape == (len(table), 2)


def test_colour_that_beats_the_picture_is_found_on_arrays() -> None:
    table, trial = cells()
    table["nucleus_mean_b"] += 500 * trial.labels
    noise = np.random.default_rng(1).normal(size=(len(table), 8))
    found, _ = shortcuts(trial, table, picture=noise, background=None)
    assert [f.what.split(" gives")[0] for f in found.findings] == ["colour alone", "size alone"]


def test_a_background_of_features_that_tell_the_class_is_found_on_arrays() -> None:
    table, trial = cells()
    noise = np.random.default_rng(1).normal(size=(len(table), 8))
    told = noise + 3 * trial.labels[:, None]
    found, _ = shortcuts(trial, table, picture=told, background=told)
    assert found.findings[0].what.startswith("the background alone")


def test_colours_of_a_cut_out_cell_have_no_background() -> None:
    table, _ = cells()
    assert np.isnan(colours(table.assign(black_fraction=0.6))[:, -3:]).all()
    assert not np.isnan(colours(table)).any()


def test_out_of_fold_is_the_mean_of_the_fits_that_tested_a_cell() -> None:
    table, trial = cells()
    area = table[["cell_area"]].to_numpy()
    alone = [
        Trial(trial.labels, trial.groups, trial.classes, [side]).predict(by_size, area)
        for side in trial.sides
    ]
    assert np.isnan(alone[0]).any()
    np.testing.assert_allclose(trial.predict(by_size, area), np.nanmean(alone, axis=0))
    twice = Trial(trial.labels, trial.groups, trial.classes, [*trial.sides, trial.sides[0]])
    np.testing.assert_allclose(twice.predict(by_size, area), trial.predict(by_size, area))
