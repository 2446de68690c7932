"""A small program to sweep: a parabola with its top at x = 0.3, in the working folder."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
from optuna.trial import TrialState

APP = '''
import os
import time
import hydra
import oadls.sweep.study as study

study.HEARTBEAT, study.GRACE = 1, 3

@hydra.main(config_path="conf", config_name="config")
def main(cfg):
    """The top of a parabola."""
    with open(cfg.notes, "a") as file:
        file.write(f"{cfg.trial} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\\n")
    if cfg.trial == cfg.broken:
        raise ValueError("a broken trial")
    if cfg.trial == cfg.nan:
        return float("nan")
    time.sleep(cfg.seconds)
    value = -((cfg.x - 0.3) ** 2)
    return (value, cfg.x) if cfg.two else value

main()
'''
CONFIG = """
defaults:
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: tpe
trial: 0
fold: null
x: 0.0
seconds: 0.0
broken: -1
nan: -1
two: false
notes: started
hydra:
  sweep: {dir: sweep, subdir: "trial-${trial}"}
  sweeper:
    _target_: oadls.sweep.sweeper.TotalSweeper
    study_name: parabola
    storage: ???
    direction: maximize
    n_trials: 6
    n_jobs: 1
    sampler: {seed: 0}
    params: {x: "interval(0.0, 1.0)"}
"""


def write_app(folder: Path) -> None:
    """The program and its config."""
    (folder / "conf").mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "conf" / "config.yaml").write_text(CONFIG)


def start(*overrides: str) -> subprocess.Popen:
    storage = f"hydra.sweeper.storage={os.environ['STORAGE']}"
    command = [sys.executable, "app.py", "-m", storage, *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(process: subprocess.Popen, *, status: int = 0) -> str:
    """Wait for the end, which must have this exit status; what was printed."""
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == status, printed
    return printed


def sweep(*overrides: str, status: int = 0) -> str:
    return end(start(*overrides), status=status)


def trials(*states: TrialState) -> list:
    study = optuna.load_study(study_name="parabola", storage=os.environ["STORAGE"])
    return study.get_trials(states=states or None)


def started() -> list[int]:
    """Numbers of the trials, in the order in which they were started."""
    return [int(number) for number, _, _ in places()]


def places() -> list[list[str]]:
    """Trial, process and OMP_NUM_THREADS, in the order in which trials were started."""
    return [line.split() for line in Path("started").read_text().splitlines()]
