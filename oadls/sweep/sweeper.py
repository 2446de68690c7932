"""Hydra's Optuna sweeper, to a total number of trials that a kill does not change.

Hydra loads this module whenever a command starts, and Optuna is heavy: only a sweep imports it.
"""

from typing import Any

from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper


class TotalSweeper(OptunaSweeper):
    """`hydra.sweeper.n_trials` is how many trials the study has in the end.

    A sweep that is started again goes on where it was, and several may work on one study at once.
    A trial that raises or returns NaN is lost, and no other with it; one whose process was killed
    is run again. Each job gets `trial=NUMBER` beside its parameters. The settings are those of
    Hydra's sweeper, but for max_failure_rate, which is not used.
    """

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has n_trials."""
        from oadls.sweep import study

        hydra: Any = self.sweeper
        space, fixed, others = study.search_space(hydra.params or {}, arguments)
        trials = study.Trials(
            name=hydra.study_name,
            storage=hydra.storage,
            sampler=hydra.sampler,
            directions=hydra._get_directions(),
            space=space,
            total=hydra.n_trials,
            folder=hydra.config.hydra.sweep.dir,
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
        trials.write_best()
