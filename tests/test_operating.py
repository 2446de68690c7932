"""What is set on validation is applied to test, and never looks at it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from oadls.operating import operate
from oadls.run import Fit, Run, probabilities_of

CELLS = 400


def fit(name: str, *, seed: int, spoil_test: bool = False) -> Fit:
    """A network that is too sure of itself, on validation and on test."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, CELLS)
    logit = 6 * ((2 * labels - 1) * 0.8 + rng.normal(size=CELLS))  # honest at a quarter of it
    side = np.where(np.arange(CELLS) < CELLS // 2, "val", "test")
    if spoil_test:
        labels = np.where(side == "test", 1 - labels, labels)
    score = 1 / (1 + np.exp(-logit))
    predictions = pd.DataFrame(
        {
            "row": np.arange(CELLS),
            "side": side,
            "label": labels,
            "probability_0": 1 - score,
            "probability_1": score,
        }
    )
    return Fit(name, 0, 0, predictions, pd.DataFrame(), 0.9, Path())


def run_of(*fits: Fit, positive: str | None = "all") -> Run:
    experiment = SimpleNamespace(positive=positive, classes=["normal", "all"])
    return Run(experiment, list(fits), Path(), "grouped_kfold", by_image=False)


def test_an_overconfident_network_is_cooled() -> None:
    run = run_of(fit("fold_0", seed=0))
    operating = operate(run)
    (temperature,) = operating.networks["temperature"]
    assert 2 < temperature < 6
    before, after = probabilities_of(run.test), probabilities_of(operating.calibrated)
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert after.max(axis=1).mean() < before.max(axis=1).mean()


def test_the_test_side_has_no_say() -> None:
    honest = operate(run_of(fit("fold_0", seed=0)))
    spoilt = operate(run_of(fit("fold_0", seed=0, spoil_test=True)))
    pd.testing.assert_frame_equal(honest.networks, spoilt.networks)
    pd.testing.assert_series_equal(honest.flagged["flagged"], spoilt.flagged["flagged"])
    pd.testing.assert_frame_equal(honest.sets.filter(like="set_"), spoilt.sets.filter(like="set_"))


def test_threshold_and_sets_keep_their_promise_on_cells_that_are_alike() -> None:
    operating = operate(
        run_of(*(fit(f"fold_{k}", seed=k) for k in range(6))), sensitivity=0.9, coverage=0.8
    )
    ill = operating.flagged["label"] == 1
    assert operating.flagged.loc[ill, "flagged"].mean() == pytest.approx(0.9, abs=0.04)
    inside = operating.sets.filter(like="set_").to_numpy()
    covered = inside[np.arange(len(inside)), operating.sets["label"]]
    assert covered.mean() == pytest.approx(0.8, abs=0.04)


def test_without_validation_nothing_is_set() -> None:
    one = fit("fold_0", seed=0)
    only_test = one.predictions[one.predictions["side"] == "test"]
    assert operate(run_of(Fit("fold_0", 0, 0, only_test, pd.DataFrame(), 0.9, Path()))) is None


def test_without_a_positive_class_there_is_no_threshold() -> None:
    operating = operate(run_of(fit("fold_0", seed=0), positive=None))
    assert operating.flagged is None
    assert "threshold" not in operating.networks
