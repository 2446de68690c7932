"""What a sweep comes to: a real search on drawn cells, its winner tested, its report."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest
from omegaconf import OmegaConf

from oadls.errors import UserError
from oadls.report.sweep import verdict
from oadls.sweep.__main__ import conclude
from oadls.sweep.confirm import touched
from oadls.sweep.folder import Sweep
from oadls.sweep.trial import Judge
from tests.runs import CONF

SMALL = (
    "data.patients=12",
    "data.cells_per_patient=2",
    "data.window=110",
    "model.backbone.size=64",
    "+model.head.plane.side=32",
    "+model.head.plane.width=8",
    "training.epochs=2",
    "training.views=1",
    "training.batch_size=4",
    "training.test_views=1",
    "trainer.precision=32-true",
    "name=tiny",
    "report=false",  # of the runs: the search has one of its own
)
pytestmark = pytest.mark.usefixtures("own_cache")


def search(folder: Path, *overrides: str) -> Path:
    command = [sys.executable, "-m", "oadls.train", "-m", *SMALL, f"hydra.sweep.dir={folder}"]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}  # as all tests
    done = subprocess.run([*command, *overrides], capture_output=True, text=True, env=one)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.fixture(scope="module")
def swept(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of three trials, and its worth over two seeds."""
    folder = search(tmp_path_factory.mktemp("sweep"), "+sweep=rmsprop", "hydra.sweeper.n_trials=3")
    conclude(folder, seeds=2)
    return folder


def predictions(folder: Path) -> list[pd.DataFrame]:
    return [pd.read_csv(file) for file in sorted(folder.rglob("*predictions.csv"))]


def test_a_trial_predicts_validation_alone_and_leaves_no_network(swept: Path) -> None:
    for number in range(3):
        trial = swept / f"trial-{number}"
        assert {side for table in predictions(trial) for side in table["side"]} == {"val"}
        assert not list(trial.rglob("*.ckpt"))


def test_winner_and_defaults_are_tested_on_the_same_cells_that_no_trial_saw(swept: Path) -> None:
    best = Sweep.read(swept).searches[0].best
    tests = []
    for choice in (f"trial-{best.number}", "defaults"):
        for seed in range(2):
            run = swept / "tested" / choice / f"seed_{seed}"
            tests.append(frozenset(pd.read_csv(run / "predictions.csv")["path"]))
            sides = predictions(run / "folds")[0]
            searched = predictions(swept / "trial-0" / "folds")[0]
            assert set(searched["name"]) == set(sides["name"][sides["side"] == "val"])
    assert len(set(tests)) == 1


def test_each_seed_draws_another_network(swept: Path) -> None:
    one, other = (
        pd.read_csv(swept / "tested" / "defaults" / f"seed_{seed}" / "predictions.csv")
        for seed in range(2)
    )
    assert (one["prob_all"] != other["prob_all"]).all()


def test_the_winner_has_its_settings_and_the_defaults_have_theirs(swept: Path) -> None:
    sweep = Sweep.read(swept)
    best = sweep.searches[0].best
    tuned = OmegaConf.load(swept / "tested" / f"trial-{best.number}" / "seed_0" / "config.yaml")
    plain = OmegaConf.load(swept / "tested" / "defaults" / "seed_0" / "config.yaml")
    for name, value in best.params.items():
        assert OmegaConf.select(tuned, name) == value
    assert plain.optimizer.lr == OmegaConf.load(CONF / "optimizer" / "rmsprop.yaml").lr


def test_the_report_says_what_was_gained(swept: Path) -> None:
    page = (swept / "report.html").read_text()
    for words in ("gain over the defaults", "optimism", "cells that it had not seen"):
        assert words in page
    for figure in ("history", "slices", "parallel"):
        assert (swept / "figures" / f"{figure}.pdf").is_file()
    trials = pd.read_csv(swept / "tables" / "trials.csv")
    assert trials["trial"].tolist() == [0, 1, 2]
    gain = pd.read_csv(swept / "tables" / "gain.csv").set_index("score")
    row = gain.loc["macro precision"]
    assert row["gain"] == pytest.approx(row["tuned"] - row["defaults"])


def test_a_second_conclusion_trains_nothing(swept: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in swept.rglob("metrics.json")}
    conclude(swept, seeds=2)
    assert {file: file.stat().st_mtime_ns for file in swept.rglob("metrics.json")} == before


def test_another_look_at_the_test_part_is_told(swept: Path) -> None:
    other = swept / "tested" / "trial-99"
    other.mkdir()
    try:
        assert len(touched(Sweep.read(swept))) == 2
        assert "no longer blind" in conclude(swept, seeds=2).read_text()
    finally:
        other.rmdir()


def test_the_winner_is_a_ready_experiment(swept: Path) -> None:
    best = Sweep.read(swept).searches[0].best
    command = [sys.executable, "-m", "oadls.train", "--cfg", "job", "+experiment=tiny_tuned"]
    shown = subprocess.run(
        [*command, "--config-dir", swept], capture_output=True, text=True, check=True
    )
    config = OmegaConf.create(shown.stdout)
    assert config.name == "tiny_tuned"
    assert config.data.patients == 12
    assert config.test
    for name, value in best.params.items():
        assert OmegaConf.select(config, name) == value


def test_no_seeds_leave_the_test_part_alone(own_cache: None, tmp_path: Path) -> None:
    search(tmp_path, "+sweep=rmsprop", "hydra.sweeper.n_trials=1", "training.epochs=1")
    assert "left alone" in conclude(tmp_path, seeds=0).read_text()
    assert not (tmp_path / "tested").exists()


def test_nested_folds_test_every_cell_once_by_a_winner_that_had_not_seen_it(
    own_cache: None, tmp_path: Path
) -> None:
    search(
        tmp_path,
        "+sweep=nested",
        "hydra.sweeper.n_trials=2",
        "outer_folds=[0,1]",
        "split.folds=2",
        "split.val=0.25",
        "training.epochs=1",
        "pruner=null",
    )
    conclude(tmp_path, seeds=1)
    tested = []
    for fold in range(2):
        (run,) = (tmp_path / f"fold_{fold}" / "tested").glob("trial-*/seed_0")
        tested += pd.read_csv(run / "predictions.csv")["path"].tolist()
        sides = predictions(run / "folds")[0].set_index("name")["side"]
        for trial in (tmp_path / f"fold_{fold}").glob("trial-*/folds"):
            assert set(sides[predictions(trial)[0]["name"]]) == {"val"}
    assert len(tested) == len(set(tested)) == 24


def test_two_aims_leave_the_choice_on_their_front_to_the_reader(
    own_cache: None, tmp_path: Path
) -> None:
    fixed = ("model/head=acrnn_f", "model.backbone.size=64", "training.epochs=1")
    search(tmp_path, "+sweep=precision_and_time", "hydra.sweeper.n_trials=3", *fixed)
    page = conclude(tmp_path, seeds=3).read_text()
    assert not (tmp_path / "tested").exists()
    assert "left alone" in page
    trials = pd.read_csv(tmp_path / "tables" / "trials.csv")
    beaten = [
        ((trials["fitness"] >= row.fitness) & (trials["seconds"] < row.seconds)).any()
        or ((trials["fitness"] > row.fitness) & (trials["seconds"] <= row.seconds)).any()
        for row in trials.itertuples()
    ]
    assert trials["on_front"].tolist() == [not each for each in beaten]
    front = set(trials["trial"][trials["on_front"]])
    assert front == set(pd.read_csv(tmp_path / "tables" / "front.csv")["trial"])
    files = {file.stem for file in (tmp_path / "experiment").iterdir()}
    assert files == {f"tiny_trial_{number}" for number in front}


def test_a_folder_without_a_sweep_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no sweep"):
        conclude(tmp_path, seeds=0)


@pytest.mark.parametrize(
    ("interval", "p", "words"),
    [
        ([0.01, 0.05], 0.01, "search helped"),
        ([-0.05, -0.01], 0.01, "did harm"),
        ([-0.05, -0.001], 0.06, "No gain"),  # the interval alone would say more than p
        ([-0.01, 0.05], 0.04, "No gain"),
        (None, 0.01, "No gain"),
    ],
)
def test_the_verdict_needs_interval_and_p(interval: list | None, p: float, words: str) -> None:
    assert words in verdict({"interval": interval, "p": p}, 0.02)


class Metrics:
    """The part of a Trainer that a judge looks at."""

    should_stop = False

    def __init__(self, fitness: float) -> None:
        self.callback_metrics = {"val/fitness": pd.Series([fitness]).max()}


def test_a_hopeless_trial_is_ended_by_its_best_epoch_so_far() -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    good = study.ask()
    for step, value in enumerate((0.8, 0.82, 0.9), start=1):
        good.report(value, step)
    study.tell(good, 0.9)
    judge = Judge(study.ask())
    judge.on_fit_start(None, None)
    stopped = []
    for fitness in (0.85, 0.2, 0.3):  # the second epoch is worse, its best so far is not
        trainer = Metrics(fitness)
        judge.on_train_epoch_end(trainer, None)
        stopped.append(trainer.should_stop)
    assert stopped == [False, False, True]
    assert judge.hopeless
