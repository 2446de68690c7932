"""Settings that are tried in each fold: validation chooses, the test part sees the choice alone."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from oadls import fitting
from oadls.errors import UserError
from oadls.run_folder import RunFolder
from tests.runs import train_in

SMALL = (
    "+experiment=table3/svm_cell_energy",
    "cells=synthetic",
    "data.patients=8",
    "data.cells_per_patient=4",
    "data.window=110",
    "split.folds=2",
    "split.val=0.3",
    "report=false",
)
NETWORK = (
    *SMALL[2:5],
    "split=grouped_holdout",
    "split.val=0.3",
    "report=false",
    "floors=false",
    "model/head=linear_probe",
    "model/backbone=cnn",
    "model.backbone.size=32",
    "model.backbone.train_last=all",
    "training.epochs=2",
    "trainer.precision=32-true",
)
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def tuned(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine that cannot learn and one that can."""
    tries = "tune=['model.estimator.C=1e-9','model.estimator.C=1']"
    return train_in(tmp_path_factory.mktemp("tuned"), *SMALL, tries)


def facts(file: Path) -> dict:
    return json.loads(file.read_text())


def test_validation_chooses_and_the_first_of_equals_is_kept(tuned: Path) -> None:
    for fold in ("fold_0", "fold_1"):
        tried = [facts(tuned / "tried" / k / "folds" / f"{fold}.json") for k in ("0", "1")]
        chosen = facts(tuned / "folds" / f"{fold}.json")
        best = 1 if tried[1]["fitness"] > tried[0]["fitness"] else 0
        assert chosen["fitness"] == tried[best]["fitness"]
        assert chosen["tuned"] == ["model.estimator.C=1e-9", "model.estimator.C=1"][best]
        assert chosen["seconds"] == pytest.approx(sum(one["seconds"] for one in tried))


def test_equal_settings_end_with_the_first(tmp_path: Path) -> None:
    same = "tune=['model.estimator.C=1','model.estimator.C=1.0']"
    train_in(tmp_path, *SMALL, same, "fold=0")
    assert facts(tmp_path / "folds" / "fold_0.json")["tuned"] == "model.estimator.C=1"


def test_what_was_tried_has_not_seen_the_test_part(tuned: Path) -> None:
    for file in tuned.glob("tried/*/folds/*-predictions.csv"):
        assert set(pd.read_csv(file)["side"]) == {"val"}
    for name in ("fold_0", "fold_1"):
        sides = pd.read_csv(tuned / "folds" / f"{name}-predictions.csv")["side"]
        assert set(sides) == {"train", "val", "test"}
        assert (tuned / "checkpoints" / f"{name}.skops").is_file()
    assert not list(tuned.glob("tried/*/checkpoints/*"))


def test_the_choice_is_what_training_it_alone_gives(tmp_path: Path) -> None:
    tries = ("optimizer.lr=1e-12", "optimizer.lr=1e-2")
    train_in(tmp_path / "tuned", *NETWORK, f"tune={list(tries)}")
    (chosen,) = RunFolder(tmp_path / "tuned").run().fits
    train_in(tmp_path / "alone", *NETWORK, chosen.tuned)
    for name in ("predictions.csv", "history.csv"):
        alone = pd.read_csv(tmp_path / "alone" / name)
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "tuned" / name), alone)
    card = torch.load(chosen.checkpoint, weights_only=True)["oadls"]
    assert card["config"]["optimizer"]["lr"] == float(chosen.tuned.split("=")[1])


def test_a_killed_run_tries_nothing_twice(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = "tune=['model.estimator.C=1e-9','model.estimator.C=1']"
    fitted, real = [], fitting.fit_estimator

    def dying(experiment, split, folder, *, test):
        if len(fitted) == 1:
            raise KeyboardInterrupt
        fitted.append((split.name, folder.name))
        return real(experiment, split, folder, test=test)

    monkeypatch.setattr(fitting, "fit_estimator", dying)
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path, *SMALL, tries)
    rest: list[tuple[str, str]] = []

    def noting(experiment, split, folder, *, test):
        rest.append((split.name, folder.name))
        return real(experiment, split, folder, test=test)

    monkeypatch.setattr(fitting, "fit_estimator", noting)
    train_in(tmp_path, *SMALL, tries, resume=True)
    assert fitted == [("fold_0", "0")]
    assert rest == [("fold_0", "1"), ("fold_1", "0"), ("fold_1", "1")]
    assert (tmp_path / "predictions.csv").read_bytes() == (tuned / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("data.window=90", "only settings of model, optimizer, training vary, not data.window"),
        ("model.estimator.D=1", "Key 'D' is not in struct"),
        ("training.epochs=no", "training.epochs"),
    ],
)
def test_a_setting_that_must_not_vary_is_refused(entry: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        train_in(tmp_path, *SMALL, f"tune=['{entry}']")
