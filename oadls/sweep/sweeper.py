"""Hydra's Optuna sweeper, to a total number of trials that a kill does not change.

Hydra loads this module whenever a command starts, and Optuna is heavy: only a sweep imports it.
"""

from pathlib import Path
from typing import Any

from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

from oadls.settings import check_one_device


class TotalSweeper(OptunaSweeper):
    """`hydra.sweeper.n_trials` is how many trials the study has in the end.

    A sweep that is started again goes on where it was, and several may work on one study at once.
    A trial that raises or returns NaN is lost, and no other with it; one whose process was killed
    is run again. Each job gets `trial=NUMBER` beside its parameters. With `outer_folds` each of
    these folds has a study of its own (nested cross-validation), whose jobs get `fold=NUMBER`. The
    settings are those of Hydra's sweeper, but for max_failure_rate, which is not used.
    """

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until every study has n_trials; UserError for several devices a trial."""
        from oadls.sweep.folder import write_sweep
        from oadls.sweep.study import search_space

        hydra: Any = self.sweeper
        check_one_device(hydra.config.get("trainer", {}))
        space, fixed, others = search_space(hydra.params or {}, arguments)
        write_sweep(hydra.config, sorted(space))
        for fold in hydra.config.get("outer_folds") or [None]:
            more = {} if fold is None else {"fold": fold}
            self._search(space, {**fixed, **more}, others, fold)

    def _search(
        self, space: dict[str, Any], fixed: dict[str, Any], others: list[str], fold: int | None
    ) -> None:
        from oadls.sweep.folder import fold_folder, study_name
        from oadls.sweep.sampler import numbered
        from oadls.sweep.study import Trials

        hydra: Any = self.sweeper
        trials = Trials(
            name=study_name(hydra.study_name, fold),
            storage=hydra.storage,
            sampler=numbered(hydra.config.hydra.sweeper.sampler) or hydra.sampler,
            directions=hydra._get_directions(),
            space=space,
            total=hydra.n_trials,
        )
        while asked := trials.ask(hydra.n_jobs):
            jobs = [
                [f"trial={trial.number}"]
                + [f"{name}={value}" for name, value in {**trial.params, **fixed}.items()]
                + others
                for trial in asked
            ]
            with trials.alive(asked):
                results = hydra.launcher.launch(jobs, initial_job_idx=asked[0].number)
            for trial, result in zip(asked, results, strict=True):
                trials.tell(trial, result)
        trials.write_best(fold_folder(Path(hydra.config.hydra.sweep.dir), fold))
