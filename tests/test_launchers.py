"""Hydra's launchers under our sweeper: trials in other processes, on the study of this one."""

import os

import pytest
from optuna.trial import TrialState

from oadls.parallel import cores
from tests.parabola import places, sweep, trials

LAUNCHERS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": [],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_trials_run_in_processes_of_the_launcher(app, launcher):
    sweep(
        f"hydra/launcher={launcher}",
        *LAUNCHERS[launcher],
        f"hydra.sweep.dir={app}/sweep",  # jobs of ray have a working folder of their own
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=4",
        "broken=1",
        "seconds=1",
        f"notes={app}/started",
    )
    assert len(trials(TrialState.COMPLETE)) == 3
    assert [trial.number for trial in trials(TrialState.FAIL)] == [1]
    processes = {process for _, process, _ in places()}
    assert len(processes) >= 2
    assert str(os.getpid()) not in processes


def test_joblib_shares_the_cores_among_its_processes(app):
    sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2")
    assert {int(threads) for _, _, threads in places()} == {max(cores() // 2, 1)}
