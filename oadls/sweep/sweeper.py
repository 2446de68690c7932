"""Hydra's Optuna sweeper, to a total number of trials that a kill does not change.

Hydra loads this module whenever a command starts, and Optuna is heavy: only a sweep imports it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper
from omegaconf import OmegaConf

from oadls.errors import UserError
from oadls.passwords import RULE, WAYS, holds_password
from oadls.settings import check_one_device
from oadls.streams import tell

if TYPE_CHECKING:
    from oadls.sweep.study import Trials


class TotalSweeper(OptunaSweeper):
    """`hydra.sweeper.n_trials` is how many trials the study has in the end.

    A sweep that is started again goes on where it was, and several may work on one study at once,
    all with the same settings (oadls/sweep/same.py). A trial that raises or returns NaN is lost,
    and no other with it; one whose process was killed is run again. Each job gets `trial=NUMBER`
    beside its parameters. With `outer_folds` each of these folds has a study of its own (nested
    cross-validation), whose jobs get `fold=NUMBER`. The settings are those of Hydra's sweeper, but
    for max_failure_rate, which is not used.
    """

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until every study has n_trials; ends the command where settings forbid it."""
        try:
            self._sweep(arguments)
        except UserError as error:
            tell(error)
            raise SystemExit(1) from None

    def _sweep(self, arguments: list[str]) -> None:
        from oadls.sweep.folder import fold_folder, make_folder, write_sweep
        from oadls.sweep.study import search_space

        hydra: Any = self.sweeper
        self._check()
        space, fixed, others = search_space(hydra.params or {}, arguments)
        make_folder(Path(hydra.config.hydra.sweep.dir))
        folds = hydra.config.get("outer_folds") or [None]
        studies = [self._open(space, fold) for fold in folds]
        write_sweep(hydra.config, sorted(space))
        for fold, trials in zip(folds, studies, strict=True):
            more = {} if fold is None else {"fold": fold}
            self._run(trials, {**fixed, **more}, others)
            trials.write_best(fold_folder(Path(hydra.config.hydra.sweep.dir), fold))

    def _check(self) -> None:
        """UserError for settings with which no trial may start."""
        from oadls.sweep.storage import check_storage

        hydra: Any = self.sweeper
        check_one_device(hydra.config.get("trainer", {}))
        check_storage(hydra.storage, self._given("storage"))
        for name, value in hydra.config.hydra.job.env_set.items():
            if holds_password(f"{name}={value}"):
                raise UserError(f"hydra.job.env_set.{name}: {RULE}; {WAYS}")
        aims, directions = hydra.config.get("aims"), hydra._get_directions()
        if aims and len(aims) != len(directions):
            raise UserError(
                f"hydra.sweeper.direction: aims={list(aims)} takes one for each, not {directions}"
            )

        if len(directions) > 1 and hydra.config.get("pruner"):
            raise UserError("pruner: no trial ends early by several aims; give pruner=null")

    def _given(self, name: str) -> Any:
        """A setting of the sweeper as it stands in the config, its `${...}` not resolved."""
        hydra: Any = self.sweeper
        settings: Any = OmegaConf.to_container(hydra.config.hydra.sweeper, resolve=False)
        return settings[name]

    def _open(self, space: dict[str, Any], fold: int | None) -> "Trials":
        """The study of an outer fold; UserError where it was started with other settings."""
        from oadls.sweep.folder import check_folder, fold_folder, study_name
        from oadls.sweep.same import shared_settings
        from oadls.sweep.sampler import numbered
        from oadls.sweep.study import Trials

        hydra: Any = self.sweeper
        directions = hydra._get_directions()
        by_name = self._given("study_name") == "${name}"
        trials = Trials(
            name=study_name(hydra.study_name, fold),
            storage=hydra.storage,
            sampler=numbered(hydra.config.hydra.sweeper.sampler) or hydra.sampler,
            directions=directions,
            space=space,
            total=hydra.n_trials,
            shared=shared_settings(hydra.config, space, directions),
            way_out="name=ANOTHER" if by_name else "hydra.sweeper.study_name=ANOTHER",
        )
        check_folder(fold_folder(Path(hydra.config.hydra.sweep.dir), fold), trials.study)
        return trials

    def _run(self, trials: "Trials", fixed: dict[str, Any], others: list[str]) -> None:
        from oadls.command_line import argument
        from oadls.sweep.same import OtherCells

        hydra: Any = self.sweeper
        while asked := trials.ask(hydra.n_jobs):
            jobs = [
                [f"trial={trial.number}"]
                # a database that came from elsewhere may give a trial other settings beside them
                + [argument(name, v) for name, v in trial.params.items() if name in trials.space]
                + [f"{name}={value}" for name, value in fixed.items()]
                + others
                for trial in asked
            ]
            with trials.alive(asked):
                results = hydra.launcher.launch(jobs, initial_job_idx=asked[0].number)
            refused = None
            for trial, result in zip(asked, results, strict=True):
                try:
                    trials.tell(trial, result)
                except OtherCells as error:  # no trial of this command may be ranked
                    refused = error
            if refused:
                raise refused
