"""The trials of an Optuna study: asked for, kept alive while they run, told, to a total number."""

import logging
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
from hydra.core.utils import JobReturn
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from oadls.errors import UserError
from oadls.publish import publish
from oadls.sweep.same import SHARED, OtherCells, check_cells, join_study
from oadls.sweep.storage import open_storage

HEARTBEAT = 10  # seconds between two signs of life of a running trial
GRACE = 60  # seconds without a sign after which a trial was killed
ERROR = "error"  # user attribute: why a trial is lost
PRUNED = "pruned"  # user attribute: after how many epochs a trial was found hopeless
Space = dict[str, BaseDistribution]
log = logging.getLogger(__name__)


def search_space(params: Any, arguments: list[str]) -> tuple[Space, dict[str, Any], list[str]]:
    """What is searched, what the command line sets instead, and what it deletes."""
    lines = [f"{name}={value}" for name, value in params.items()]
    space, fixed, others = create_params_from_overrides([*lines, *arguments])
    space = {name: each for name, each in space.items() if name not in fixed}
    if not space:
        raise UserError("sweep: no parameter is searched; try +sweep=rmsprop")
    return space, fixed, others


class Trials:
    """A study in a database, which is made unless it is there.

    name : of the study
    storage : SQLAlchemy URL; SQLite on one machine, a server for many
    sampler : of Optuna; a partial is the grid, which takes the space
    total : trials that the study has in the end, lost ones included
    shared : what all trials of the study have in common (`same.shared_settings`)
    way_out : the setting that starts another study
    raises UserError where the study has trials with other settings
    """

    def __init__(
        self,
        *,
        name: str,
        storage: str,
        sampler: Any,
        directions: Sequence[str],
        space: Space,
        total: int,
        shared: dict[str, Any],
        way_out: str,
    ) -> None:
        self.space, self.total = space, total
        if isinstance(sampler, partial):
            choices = {name: _choices(name, each) for name, each in space.items()}
            sampler = sampler(choices)
            self.total = min(total, math.prod(len(each) for each in choices.values()))
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed")  # ours: alive()
        self.storage = open_storage(
            storage,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=run_again,
        )
        self.study = self._study(name, sampler, directions, shared, way_out)
        log.info("study %s: %d of %d trials are there", name, len(self._counted()), self.total)

    def _study(
        self,
        name: str,
        sampler: Any,
        directions: Sequence[Any],
        shared: dict[str, Any],
        way_out: str,
    ) -> Study:
        """The study: of several commands that start together one makes it, and says what is shared.

        An existing study keeps its directions: they are among what is shared
        """
        try:
            study = optuna.create_study(
                study_name=name, storage=self.storage, sampler=sampler, directions=directions
            )
            study.set_user_attr(SHARED, shared)
        except DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=self.storage, sampler=sampler)
            join_study(study, shared, way_out=way_out)
        return study

    def ask(self, number: int) -> list[Trial]:
        """The next trials, at most `number`; none when the study is complete.

        Waits for the trials of other sweeps: one that was killed is to be run again.
        """
        while True:
            fail_stale_trials(self.study)
            room = self.total - len(self._counted())
            asked = [self._ask() for _ in range(min(number, room))]
            kept = [trial for trial in asked if self._is_wanted(trial)]
            for trial in asked:
                if trial not in kept:  # another sweep asked at the same time
                    self.study.tell(trial, state=TrialState.FAIL)
            if kept or not self._has(TrialState.RUNNING, TrialState.WAITING):
                return kept
            time.sleep(HEARTBEAT)

    def _ask(self) -> Trial:
        trial = self.study.ask(self.space)
        self.storage.record_heartbeat(trial._trial_id)  # without one it is never taken for killed
        return trial

    @contextmanager
    def alive(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Signs of life for running trials, until this ends or the process is killed."""
        done = Event()

        def beat() -> None:
            while True:
                try:
                    for trial in trials:
                        self.storage.record_heartbeat(trial._trial_id)
                except (SQLAlchemyError, StorageInternalError) as error:  # the next one may arrive
                    log.warning("a sign of life was lost: %s", str(error).splitlines()[0])
                if done.wait(HEARTBEAT):
                    return

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def tell(self, trial: Trial, result: JobReturn) -> None:
        """Note the value of a trial, or why it has none.

        A trial that gave no sign of life for GRACE, as while a laptop sleeps, has been run again
        by then: its value is left out, so that it counts once.

        raises OtherCells for a trial on other cells than the study's, which does not count
        """
        try:
            if self.storage.get_trial(trial._trial_id).state.is_finished():
                raise UpdateFinishedTrialError
            self._note(trial, result)
        except UpdateFinishedTrialError:
            log.warning(
                "trial %d gave no sign of life for %d s and was taken for killed: it is run again, "
                "and what came of it here is left out",
                trial.number,
                GRACE,
            )

    def _note(self, trial: Trial, result: JobReturn) -> None:
        try:
            values = self._values(result.return_value)
            check_cells(self.study, trial.number)
        except OtherCells:
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        except Exception as error:  # whatever a trial raised
            reason = f"{type(error).__name__}: {error}"
            log.warning("trial %d is lost: %s", trial.number, reason)
            trial.set_user_attr(ERROR, reason[:500])
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            if PRUNED in self.storage.get_trial_user_attrs(trial._trial_id):
                self.study.tell(trial, state=TrialState.PRUNED)
                return
            with self._grid_may_stop():
                self.study.tell(trial, values)

    def _values(self, value: Any) -> list[float]:
        """What a trial returned, a number for each aim."""
        values = [float(each) for each in (value if isinstance(value, Sequence) else [value])]
        if any(math.isnan(each) for each in values):
            raise ValueError(f"it returned {value}")
        if len(values) != len(self.study.directions):
            raise ValueError(f"it returned {value} for {len(self.study.directions)} aims")
        return values

    def write_best(self, folder: Path) -> None:
        """optimization_results.yaml: the best trial, or the Pareto front."""
        if not self._has(TrialState.COMPLETE):
            first = next(
                (t.user_attrs[ERROR] for t in self._counted() if ERROR in t.user_attrs), ""
            )
            raise UserError(
                f"sweep: all {self.total} trials of {self.study.study_name} are lost"
                + (f", the first by {first}" if first else "")
            )
        found: dict[str, Any] = {"name": "optuna"}
        if len(self.study.directions) > 1:
            front = self.study.best_trials
            found["solutions"] = [{"params": t.params, "values": t.values} for t in front]
        else:
            best = self.study.best_trial
            found |= {"best_params": best.params, "best_value": best.value}
            log.info("best is trial %d, %.4f: %s", best.number, best.value, best.params)
        with publish(folder / "optimization_results.yaml") as draft:
            OmegaConf.save(OmegaConf.create(found), draft)

    @contextmanager
    def _grid_may_stop(self) -> Iterator[None]:
        """A finished grid wants to stop a loop that is not Optuna's."""
        try:
            yield
        except RuntimeError:
            if not isinstance(self.study.sampler, optuna.samplers.GridSampler):
                raise

    def _counted(self) -> list[FrozenTrial]:
        """Trials that are finished, lost by their own fault, or running."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if counts(trial)]

    def _is_wanted(self, trial: Trial) -> bool:
        return sum(each.number < trial.number for each in self._counted()) < self.total

    def _has(self, *states: TrialState) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=states))


def run_again(study: Study, trial: FrozenTrial) -> None:
    """Queue a trial whose process was killed; what that one noted is not the next one's."""
    trial.user_attrs = {}
    RetryHeartbeatStaleTrialCallback()(study, trial)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the total: not waiting, and neither killed nor called off."""
    if trial.state == TrialState.FAIL:
        return ERROR in trial.user_attrs
    return trial.state != TrialState.WAITING


def _choices(name: str, distribution: BaseDistribution) -> list[Any]:
    if not isinstance(distribution, CategoricalDistribution):
        raise UserError(f"sweep: a grid takes choices (a,b,c), {name} is {distribution}")
    return list(distribution.choices)
