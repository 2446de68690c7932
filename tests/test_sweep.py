"""Trials to a total number, whatever becomes of single ones or of the process."""

import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import psycopg
import pytest
import yaml
from optuna.study import StudyDirection
from optuna.trial import TrialState

from oadls.sweep.storage import open_storage
from tests.databases import SECRET
from tests.parabola import start, started, sweep, trials


@pytest.fixture(params=["sqlite", "postgresql"])
def database(app, request, monkeypatch):
    """The same with each kind of database."""
    if request.param == "postgresql":
        monkeypatch.setenv("STORAGE", request.getfixturevalue("server"))
        monkeypatch.setenv("PGPASSWORD", SECRET)
        with contextlib.suppress(KeyError):
            optuna.delete_study(study_name="parabola", storage=os.environ["STORAGE"])


def start_slow(seconds, *overrides):
    """A sweep whose trials take their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECONDS", seconds)
        return start(*overrides)


def wait_for(number):
    """Until so many trials have been started."""
    while not Path("started").exists() or len(started()) < number:
        time.sleep(0.05)


def test_a_sweep_finds_the_top_and_in_two_parts_tries_the_same(app, monkeypatch):
    sweep("hydra.sweeper.n_trials=15")
    assert started() == list(range(15))
    best = yaml.safe_load((app / "sweep" / "optimization_results.yaml").read_text())
    assert best["best_params"]["x"] == pytest.approx(0.3, abs=0.1)
    assert best["best_value"] == max(trial.value for trial in trials())
    assert sorted(path.name for path in (app / "sweep").glob("trial-*")) == sorted(
        f"trial-{number}" for number in range(15)
    )
    whole = [trial.params for trial in trials()]
    monkeypatch.setenv("STORAGE", "sqlite:///parts.db")
    sweep("hydra.sweeper.n_trials=4", "hydra.sweep.dir=parts")
    sweep("hydra.sweeper.n_trials=11", "hydra.sweep.dir=parts")  # TPE begins to choose at ten
    assert [trial.params for trial in trials()] == whole[:11]


def test_the_same_command_again_goes_on_to_the_total_and_other_settings_are_refused(app):
    sweep("hydra.sweeper.n_trials=2")
    sweep("hydra.sweeper.n_trials=2")
    assert started() == [0, 1]
    before = (app / "sweep" / "sweep.yaml").read_bytes()
    for other, told in {
        "nan=9": "nan was -1, is 9",
        "x=interval(0.0,2.0)": "hydra.sweeper.params.x was",
        "hydra.sweeper.direction=minimize": "hydra.sweeper.direction was",
    }.items():
        printed = sweep(other, "hydra.sweeper.n_trials=5", status=1)
        assert told in printed
        assert "hydra.sweeper.study_name=ANOTHER" in printed
        assert "Traceback" not in printed
    assert (app / "sweep" / "sweep.yaml").read_bytes() == before
    sweep("hydra.sweeper.n_trials=3")
    assert started() == [0, 1, 2]


def test_trials_on_other_cells_are_refused_and_take_no_place(app, monkeypatch):
    monkeypatch.setenv("CELLS", "a1")
    sweep("hydra.sweeper.n_trials=2")
    monkeypatch.setenv("CELLS", "b2")
    printed = sweep("hydra.sweeper.n_trials=3", status=1)
    assert "trial 2 found 3 cells (data_fingerprint b2), trial 0 had" in printed
    assert "Traceback" not in printed
    monkeypatch.setenv("CELLS", "a1")
    sweep("hydra.sweeper.n_trials=3")
    done = trials(TrialState.COMPLETE)
    assert [trial.user_attrs["cells"]["data_fingerprint"] for trial in done] == ["a1"] * 3


def test_a_folder_with_trials_of_another_study_is_refused(app, monkeypatch):
    sweep("hydra.sweeper.n_trials=1")
    monkeypatch.setenv("STORAGE", "sqlite:///other.db")
    assert "study parabola does not know (trial-0)" in sweep(status=1)


def test_a_trial_that_raises_or_returns_nan_loses_itself_only(app):
    printed = sweep("broken=1", "nan=3")
    assert [trial.number for trial in trials(TrialState.FAIL)] == [1, 3]
    assert [trial.number for trial in trials(TrialState.COMPLETE)] == [0, 2]
    assert "a broken trial" in trials()[1].user_attrs["error"]
    assert "trial 3 is lost: ValueError: it returned nan" in printed


def test_a_sweep_of_lost_trials_says_so(app):
    printed = sweep("broken=0", "hydra.sweeper.n_trials=1", status=1)
    assert "all 1 trials of parabola are lost" in printed


def test_a_killed_sweep_goes_on_and_runs_the_killed_trial_again(database):
    command = start_slow("1.5")
    wait_for(3)
    os.kill(command.pid, signal.SIGKILL)
    command.end(status=-signal.SIGKILL)
    (killed,) = trials(TrialState.RUNNING)
    sweep()
    assert trials()[killed.number].state == TrialState.FAIL
    done = trials(TrialState.COMPLETE)
    assert len(done) == 4
    assert killed.params in [trial.params for trial in done]


def test_a_sweep_that_slept_goes_on_and_its_trial_counts_once(app):
    sleeper = start_slow("1", "hydra.sweeper.n_trials=3")
    wait_for(1)
    os.kill(sleeper.pid, signal.SIGSTOP)
    sweep("hydra.sweeper.n_trials=3")  # takes it for killed, and runs its trial again
    os.kill(sleeper.pid, signal.SIGCONT)
    assert "trial 0 gave no sign of life" in sleeper.end()
    assert trials()[0].state == TrialState.FAIL
    done = [trial.params["x"] for trial in trials(TrialState.COMPLETE)]
    assert len(done) == len(set(done)) == 3
    assert trials()[0].params["x"] in done


def test_a_sweep_that_is_told_to_end_ends_as_no_success(app):
    command = start_slow("5")
    wait_for(1)
    os.kill(command.pid, signal.SIGTERM)
    command.end(status=-signal.SIGTERM)


def test_two_sweeps_share_a_study_to_one_total_and_try_different_things(database):
    commands = [start_slow("0.3", "hydra.sweeper.n_trials=6") for _ in range(2)]
    for command in commands:
        command.end()
    assert len(trials(TrialState.COMPLETE)) == 6
    assert len(set(started())) == len(started()) == 6
    assert len({trial.params["x"] for trial in trials(TrialState.COMPLETE)}) == 6


def test_outer_folds_have_studies_of_their_own(app):
    sweep("+outer_folds=[0,2]", "hydra.sweep.subdir=fold_${fold}/trial-${trial}")
    for fold in (0, 2):
        study = optuna.load_study(study_name=f"parabola-fold_{fold}", storage=os.environ["STORAGE"])
        assert len(study.trials) == 4
        folder = app / "sweep" / f"fold_{fold}"
        assert yaml.safe_load((folder / "optimization_results.yaml").read_text())["best_params"]
        assert len(list(folder.glob("trial-*"))) == 4


def test_a_grid_tries_every_choice_once(app):
    sweep("hydra/sweeper/sampler=grid", "x=choice(0.1,0.3,0.9)", "hydra.sweeper.n_trials=9")
    assert sorted(trial.params["x"] for trial in trials()) == [0.1, 0.3, 0.9]
    assert {trial.state for trial in trials()} == {TrialState.COMPLETE}


def test_random_search_takes_the_same_space(app):
    sweep("hydra/sweeper/sampler=random")
    assert len({trial.params["x"] for trial in trials()}) == 4


def test_two_aims_end_in_a_front(app):
    sweep("two=true", "hydra.sweeper.direction=[maximize,minimize]")
    found = yaml.safe_load((app / "sweep" / "optimization_results.yaml").read_text())
    assert found["solutions"]
    assert all(len(solution["values"]) == 2 for solution in found["solutions"])


def test_a_parameter_that_is_set_is_not_searched(app):
    assert "no parameter is searched" in sweep("x=0.5", status=1)


def test_commands_that_start_together_on_an_empty_server_make_its_tables_once(server, monkeypatch):
    place = server.rpartition("/")[0]
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE DATABASE together")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(open_storage, [f"{place}/together"] * 4))
    found[0].create_new_study([StudyDirection.MAXIMIZE], "shared")
    assert [len(storage.get_all_studies()) for storage in found] == [1, 1, 1, 1]
