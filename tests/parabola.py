"""A small program to sweep: a parabola with its top at x = 0.3, in the working folder."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
from optuna.trial import TrialState

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.preloaded"])
APP = '''
import os
import time
from types import SimpleNamespace
import hydra
import oadls.sweep.study as study

study.HEARTBEAT, study.GRACE = 1, 2

@hydra.main(config_path="conf", config_name="config")
def main(cfg):
    """The top of a parabola."""
    with open(os.environ.get("NOTES", "started"), "a") as file:
        file.write(f"{cfg.trial} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\\n")
    if "CELLS" in os.environ:
        from oadls.sweep.member import note_cells

        note_cells(SimpleNamespace(config=cfg, fingerprint=os.environ["CELLS"], table="abc"))
    if cfg.trial == cfg.broken:
        raise ValueError("a broken trial")
    if cfg.trial == cfg.nan:
        return float("nan")
    time.sleep(float(os.environ.get("SECONDS", 0)))
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
broken: -1
nan: -1
two: false
hydra:
  sweep: {dir: sweep, subdir: "trial-${trial}"}
  sweeper:
    _target_: oadls.sweep.sweeper.TotalSweeper
    study_name: parabola
    storage: ${oc.env:STORAGE}
    direction: maximize
    n_trials: 4
    n_jobs: 1
    sampler: {seed: 0}
    params: {x: "interval(0.0, 1.0)"}
"""


def write_app(folder: Path) -> None:
    """The program and its config."""
    (folder / "conf").mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "conf" / "config.yaml").write_text(CONFIG)


class Command:
    """The program with a command line, in the working folder and the environment of now.

    It is forked from a process that has imported what it imports: it begins at once.
    """

    def __init__(self, *overrides: str) -> None:
        handle, self.printed = tempfile.mkstemp()
        os.close(handle)
        place = (os.getcwd(), dict(os.environ), self.printed)
        self.process = FORKS.Process(target=_run, args=(["app.py", "-m", *overrides], *place))
        self.process.start()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process.pid
        return self.process.pid

    def end(self, *, status: int = 0) -> str:
        """Wait for the end, which must have this exit status; what was printed."""
        self.process.join(120)
        printed = Path(self.printed).read_text()
        os.unlink(self.printed)
        assert self.process.exitcode == status, printed
        return printed


def _run(arguments: list[str], folder: str, environment: dict[str, str], printed: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    handle = os.open(printed, os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv = arguments
    runpy.run_path("app.py", run_name="__main__")


def start(*overrides: str) -> Command:
    return Command(*overrides)


def launched(*overrides: str) -> str:
    """What a command of its own prints: launchers start Python anew, which no fork can show."""
    command = [sys.executable, "app.py", "-m", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def sweep(*overrides: str, status: int = 0) -> str:
    return start(*overrides).end(status=status)


def trials(*states: TrialState) -> list:
    study = optuna.load_study(study_name="parabola", storage=os.environ["STORAGE"])
    return study.get_trials(states=states or None)


def started() -> list[int]:
    """Numbers of the trials, in the order in which they were started."""
    return [int(number) for number, _, _ in places()]


def places() -> list[list[str]]:
    """Trial, process and OMP_NUM_THREADS, in the order in which trials were started."""
    return [line.split() for line in Path("started").read_text().splitlines()]
