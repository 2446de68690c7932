"""What a sweep comes to: a real search on drawn cells, its winner tested, its report."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from pytorch_lightning.loggers import CSVLogger

from oadls.command_line import argument
from oadls.errors import UserError
from oadls.report.sweep import verdict
from oadls.settings import plain, sqlite_file
from oadls.sweep.__main__ import conclude
from oadls.sweep.confirm import _for_test, _train, touched
from oadls.sweep.folder import Sweep
from oadls.sweep.ready import write_experiments
from oadls.sweep.storage import open_storage
from oadls.sweep.trial import Judge
from oadls.tracking import make_logger
from tests.runs import CONF, composed

LOST, COMPLETE = TrialState.FAIL, TrialState.COMPLETE
PRUNED, RUNNING = TrialState.PRUNED, TrialState.RUNNING

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
ODD = "of b, {c} [d]=e #1? 'f' %20 $g"
pytestmark = pytest.mark.usefixtures("own_cache")


def search(folder: Path, *overrides: str) -> Path:
    command = [sys.executable, "-m", "oadls.train", "-m", *SMALL]
    command += [argument("hydra.sweep.dir", str(folder))]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}  # as all tests
    done = subprocess.run([*command, *overrides], capture_output=True, text=True, env=one)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.fixture(scope="module")
def searched(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A search of three trials, in folders with odd names, and its page without a test."""
    home = tmp_path_factory.mktemp("sweep") / ODD
    images = argument("data.root", str(home / "images"))
    folder = search(home, "+sweep=rmsprop", "hydra.sweeper.n_trials=3", images)
    page = conclude(folder, seeds=0).read_text()
    assert not (folder / "tested").exists()
    return folder, page


@pytest.fixture(scope="module")
def swept(searched: tuple[Path, str]) -> Path:
    """That search, and its worth over two seeds."""
    conclude(searched[0], seeds=2)
    return searched[0]


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
    lines = (swept / "experiment" / "tiny_tuned.yaml").read_text().splitlines()
    (line,) = (line for line in lines if "python -m oadls.train" in line)
    command = [sys.executable, *shlex.split(line.lstrip("# "))[1:], "--cfg", "job"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    config = OmegaConf.create(shown.stdout)
    assert config.name == "tiny_tuned"
    assert config.data.patients == 12
    assert config.test
    for name, value in best.params.items():
        assert OmegaConf.select(config, name) == value


def test_no_seeds_leave_the_test_part_alone(searched: tuple[Path, str]) -> None:
    assert "left alone" in searched[1]


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
    )
    for search_of in Sweep.read(tmp_path).searches:  # each trial told the study of its own fold
        assert all(trial.intermediate_values for trial in search_of.trials)
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
    "content", [b"", b"study: tiny\nstor", b"study: [", b"- a", b"\xff\xfe\x00s", b"\0" * 40]
)
def test_a_half_sweep_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sweep.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"sweep\.yaml (is|holds|cannot)"):
        conclude(tmp_path, seeds=0)


def test_a_sweep_that_was_moved_is_read_where_it_is_and_no_database_is_made(
    swept: Path, tmp_path: Path
) -> None:
    for name in ("sweep.yaml", "study.db"):
        shutil.copy(swept / name, tmp_path)
    facts = OmegaConf.load(tmp_path / "sweep.yaml")
    facts.storage = "sqlite:////nowhere/at/all/study.db"
    OmegaConf.save(facts, tmp_path / "sweep.yaml")
    assert len(Sweep.read(tmp_path).searches[0].trials) == 3
    (tmp_path / "study.db").unlink()
    with pytest.raises(UserError, match="no database /nowhere"):
        _ = Sweep.read(tmp_path).searches
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.yaml"]


def test_the_search_and_its_worth_are_of_the_same_cells(swept: Path, tmp_path: Path) -> None:
    sweep = Sweep.read(swept)
    tested = swept / "tested" / "defaults" / "seed_0"
    found = json.loads((tested / "metrics.json").read_text())["data_fingerprint"]
    assert {t.user_attrs["cells"]["data_fingerprint"] for t in sweep.searches[0].trials} == {found}
    for run in (tested, tmp_path / "new"):
        with pytest.raises(UserError, match="had cells with data_fingerprint 0123"):
            _train(_for_test(sweep.defaults, seed=0, fold=None), run, "0123")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_the_winner_is_logged_to_its_folder_however_the_trials_were(logger: str) -> None:
    config = composed("train", "+sweep=rmsprop", f"logger={logger}")
    made = make_logger(_for_test(config, seed=1, fold=None), Path("folder"), "fold_0")
    assert isinstance(made, CSVLogger)


def written(folder: Path, aims: list[str], states: list[TrialState]) -> Path:
    """A sweep as one of these trials would leave it."""
    url = sqlite_file(f"{folder}/study.db")
    directions = ["maximize", "minimize"][: len(aims)]
    study = optuna.create_study(study_name="s", storage=open_storage(url), directions=directions)
    for number, state in enumerate(states):
        ended = state in (TrialState.COMPLETE, TrialState.PRUNED)
        study.add_trial(
            optuna.create_trial(
                state=state,
                params={"optimizer.lr": 1e-4 * (number + 1), "+model/head": "acrnn_a"},
                distributions={
                    "optimizer.lr": FloatDistribution(1e-5, 1, log=True),
                    "+model/head": CategoricalDistribution(["acrnn_f", "acrnn_a"]),
                },
                values=[0.1 * number, 1.0 * number][: len(aims)] if ended else None,
                intermediate_values={1: 0.1 * number} if ended and len(aims) == 1 else {},
                user_attrs={"error": "lost"} if state == TrialState.FAIL else {},
            )
        )
    facts = {
        "study": "s",
        "storage": url,
        "searched": ["+model/head", "optimizer.lr"],
        "choices": {"split": "grouped_holdout", "model/head": "acrnn_f"},
        "overrides": [],
        "defaults": {**plain(composed("train", "+sweep=rmsprop", "name=tiny")), "aims": aims},
    }
    OmegaConf.save(OmegaConf.create(facts), folder / "sweep.yaml")
    return folder


def test_a_ready_experiment_has_every_setting_as_it_was_given(tmp_path: Path) -> None:
    wanted = {"data.root": f"/images {ODD}", "data.positive": "yes: no # x", "seed": 3}
    given = ["data=folder", *(argument(name, value) for name, value in wanted.items())]
    folder = written(tmp_path, ["fitness"], [COMPLETE])
    facts = OmegaConf.load(folder / "sweep.yaml")
    facts.overrides = [*given, "~augment"]
    facts.choices |= {"data": "folder", "augment": None}
    facts.defaults = plain(composed("train", "+sweep=rmsprop", *given, "name=tiny"))
    OmegaConf.save(facts, folder / "sweep.yaml")
    (file,) = write_experiments(Sweep.read(folder))
    ready = OmegaConf.load(file)
    for name, value in wanted.items():
        assert OmegaConf.select(ready, name) == value
    assert ready.optimizer.lr == 1e-4
    for group, chosen in {"data": "folder", "augment": None, "model/head": "acrnn_a"}.items():
        assert {f"override /{group}": chosen} in ready.defaults


@pytest.mark.parametrize("aims", [["fitness"], ["fitness", "seconds"]], ids=len)
def test_lost_and_running_trials_are_no_hindrance(tmp_path: Path, aims: list[str]) -> None:
    states = [LOST, COMPLETE, PRUNED, LOST, RUNNING, COMPLETE]
    page = conclude(written(tmp_path, aims, states), seeds=0).read_text()
    assert len(aims) > 1 or "2 lost, 1 still running" in page
    trials = pd.read_csv(tmp_path / "tables" / "trials.csv")
    assert {1, 5} <= set(trials["trial"])


@pytest.mark.parametrize("states", [[], [LOST, LOST], [RUNNING]], ids=str)
def test_a_sweep_without_a_finished_trial_says_so(tmp_path: Path, states: list) -> None:
    with pytest.raises(UserError, match="study s has no finished trial"):
        conclude(written(tmp_path, ["fitness"], states), seeds=0)


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


def test_a_trial_that_was_taken_for_killed_ends_its_training(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    judge = Judge(study.ask())
    judge.on_fit_start(None, None)
    study.tell(0, state=LOST)  # by another sweep, while this one slept
    trainer = Metrics(0.9)
    judge.on_train_epoch_end(trainer, None)
    assert trainer.should_stop
    assert judge.hopeless


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
