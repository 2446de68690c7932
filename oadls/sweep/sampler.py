"""What a trial tries depends on the study and on the trial's number, not on who asks for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

TRUSTED = (
    "optuna.samplers.*",
    "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaii_sampler",
    "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaiii_sampler",
)


def numbered(config: DictConfig) -> "NumberedSampler | None":
    """The sampler of a config with a seed, which draws anew for each trial; None for others."""
    if config.get("seed") is None or config.get("_partial_"):
        return None

    def make(number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence((config.seed, number)).generate_state(1)[0])
        return instantiate(config, seed=seed, _execution_whitelist_=TRUSTED)

    return NumberedSampler(make)


class NumberedSampler(BaseSampler):
    """A seeded sampler that two sweeps may use at once, and one that goes on after a kill.

    Optuna's samplers draw from one stream, which begins anew in every process: each sweep on a
    study would try what another has tried.

    make : trial number -> sampler with a seed of its own
    """

    def __init__(self, make: Callable[[int], BaseSampler]) -> None:
        self.make, self.sampler = make, make(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.sampler = self.make(trial.number)
        self.sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self.sampler.after_trial(study, trial, state, values)
