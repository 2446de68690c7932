"""Hydra's launchers under our sweeper: trials in other processes, on the study of this one."""

import os

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.engine import make_url

from oadls.parallel import cores
from tests.databases import SECRET
from tests.parabola import launched, places

LAUNCHERS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": [],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}


def files_with(secret, folder):
    """Files below a folder that hold a text, whatever kind they are."""
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_trials_run_in_processes_of_the_launcher(app, server, launcher, monkeypatch):
    address = make_url(server)._replace(password=SECRET)
    monkeypatch.setenv("STORAGE", address.render_as_string(hide_password=False))
    monkeypatch.setenv("SECONDS", "1")
    monkeypatch.setenv("NOTES", f"{app}/started")
    printed = launched(
        f"hydra/launcher={launcher}",
        *LAUNCHERS[launcher],
        f"hydra.sweep.dir={app}/sweep",  # jobs of ray have a working folder of their own
        f"hydra.sweeper.study_name={launcher}",
        "hydra.sweeper.n_jobs=2",
        "broken=1",
    )
    study = optuna.load_study(study_name=launcher, storage=os.environ["STORAGE"])
    assert len(study.get_trials(states=[TrialState.COMPLETE])) == 3
    assert [trial.number for trial in study.get_trials(states=[TrialState.FAIL])] == [1]
    processes = {process for _, process, _ in places()}
    assert len(processes) >= 2
    assert str(os.getpid()) not in processes
    assert SECRET not in printed
    assert files_with(b"oadls@127.0.0.1", app) == [app / "sweep" / "sweep.yaml"]
    assert files_with(b"oc.env:STORAGE", app)
    assert not files_with(SECRET.encode(), app)


def test_joblib_shares_the_cores_among_its_processes(app):
    launched("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2")
    assert {int(threads) for _, _, threads in places()} == {max(cores() // 2, 1)}
