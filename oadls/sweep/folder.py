"""What a sweep leaves in its folder, and how it is read again.

sweep.yaml            what the search starts from, what it varies, where its studies are
trial-N/              the run of a trial: config.yaml, folds/ with its curves
fold_K/               with outer folds, the same for each of them
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from oadls.errors import UserError
from oadls.settings import check_name, plain
from oadls.sweep.study import counts

FILE = "sweep.yaml"
# settings that a ready experiment does not take over
OF_SWEEPS = ("name", "fold", "logger", "trial", "test", "pruner", "outer_folds")
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def study_name(name: str, fold: int | None) -> str:
    """The study of an outer fold; of the whole sweep without one."""
    return name if fold is None else f"{name}-fold_{fold}"


def fold_folder(folder: Path, fold: int | None) -> Path:
    """Where the trials of an outer fold are; the sweep's own folder without one."""
    return folder if fold is None else folder / f"fold_{fold}"


def write_sweep(config: DictConfig, searched: list[str]) -> None:
    """sweep.yaml, from what Hydra composed for the sweep."""
    hydra = config.hydra
    settings = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = {
        "study": hydra.sweeper.study_name,
        "storage": hydra.sweeper.storage,
        "searched": searched,
        "choices": {
            key: value for key, value in hydra.runtime.choices.items() if "hydra" not in key
        },
        "overrides": [line for line in hydra.overrides.task if line.split("=")[0] not in searched],
        "defaults": plain(settings),
    }
    folder = Path(hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    # another sweep may write it too: each has a draft of its own
    draft = folder / f".{uuid4()}.yaml"
    OmegaConf.save(OmegaConf.create(found), draft)
    draft.rename(folder / FILE)


@dataclass(frozen=True)
class Search:
    """The trials of one study: all of a sweep, or those of one outer fold.

    fold : outer fold that the trials have not seen, None where the split has one test part
    """

    fold: int | None
    study: optuna.Study
    folder: Path

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """Every trial that counts, in the order of their numbers."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if counts(trial)]

    @cached_property
    def best(self) -> FrozenTrial:
        """The trial with the best validation fitness; of several, the first."""
        return self.study.best_trial

    @cached_property
    def front(self) -> list[FrozenTrial]:
        """Of several aims: the trials that no other beats in one without losing in another."""
        return sorted(self.study.best_trials, key=lambda trial: trial.values)

    def config_of(self, trial: FrozenTrial) -> DictConfig:
        """All settings of a trial."""
        file = self.folder / f"trial-{trial.number}" / "config.yaml"
        if not file.is_file():
            raise UserError(f"sweep: trial {trial.number} has no {file}")
        return OmegaConf.load(file)  # type: ignore[return-value]


@dataclass(frozen=True)
class Sweep:
    """A sweep read from its folder.

    facts : content of sweep.yaml
    """

    folder: Path
    facts: DictConfig

    @classmethod
    def read(cls, folder: Path) -> "Sweep":
        """Raises UserError when there is none."""
        if not (folder / FILE).is_file():
            raise UserError(f"sweep: {folder} holds no sweep (no {FILE})")
        return cls(folder, OmegaConf.load(folder / FILE))  # type: ignore[arg-type]

    @property
    def defaults(self) -> DictConfig:
        """Settings before any is searched."""
        return self.facts.defaults

    @property
    def aims(self) -> list[str]:
        """What a trial is ranked by."""
        return list(self.defaults.get("aims") or ["fitness"])

    @cached_property
    def searches(self) -> list[Search]:
        """One for each study; UserError where one has no finished trial."""
        found = []
        for fold in self.defaults.get("outer_folds") or [None]:
            name = study_name(self.facts.study, fold)
            try:
                study = optuna.load_study(study_name=name, storage=self.facts.storage)
            except KeyError:
                raise UserError(f"sweep: no study {name} in {self.facts.storage}") from None
            if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
                raise UserError(f"sweep: study {name} has no finished trial yet")
            found.append(Search(fold, study, fold_folder(self.folder, fold)))
        return found

    def default_value(self, name: str) -> Any:
        """What a searched setting is without the search."""
        if name in self.facts.choices:
            return self.facts.choices[name]
        return OmegaConf.select(self.defaults, name)


def write_experiments(sweep: Sweep) -> list[Path]:
    """The best trial of each search, or each trial of a front, as a ready experiment."""
    ready = []
    for search in sweep.searches:
        fold = "" if search.fold is None else f"_fold_{search.fold}"
        if len(sweep.aims) > 1:
            for trial in search.front:
                reached = zip(sweep.aims, trial.values, strict=True)
                what = "on the Pareto front: " + ", ".join(f"{aim} {v:.4g}" for aim, v in reached)
                ready.append(_write_experiment(sweep, trial, f"trial_{trial.number}{fold}", what))
        else:
            best = search.best
            what = f"the best of {len(search.trials)} on validation: fitness {best.value:.4f}"
            ready.append(_write_experiment(sweep, best, f"tuned{fold}", what))
    return ready


def _write_experiment(sweep: Sweep, trial: FrozenTrial, name: str, what: str) -> Path:
    facts = sweep.facts
    check_name(sweep.defaults.name)
    name = f"{sweep.defaults.name}_{name}"
    values = {"name": name}
    groups: list[Any] = []
    for line in [*facts.overrides, *(f"{key}={value}" for key, value in trial.params.items())]:
        key, _, value = line.lstrip("+").partition("=")
        if key in facts.choices:
            groups += [] if key in ("sweep", "experiment") else [{f"override /{key}": value}]
        elif key.split(".")[0] not in OF_SWEEPS:
            values[key] = value
    base = facts.choices.get("experiment")
    content = OmegaConf.from_dotlist([f"{key}={value}" for key, value in values.items()])
    defaults = ([f"/experiment/{base}"] if base else []) + groups + ["_self_"]
    file = sweep.folder / "experiment" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "# @package _global_\n"
        f"# Trial {trial.number}, {what}.\n"
        f"# An honest score needs the sweep's own split (split={facts.choices.split}): others may\n"
        "# test cells that chose these values.\n"
        f"# python -m oadls.train --config-dir {sweep.folder} +experiment={name}\n"
        + OmegaConf.to_yaml(OmegaConf.merge({"defaults": defaults}, content)),
        encoding="utf-8",
    )
    return file
