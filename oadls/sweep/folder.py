"""What a sweep leaves in its folder, and how it is read again.

sweep.yaml            what the search starts from, what it varies, where its studies are
trial-N/              the run of a trial: config.yaml, folds/ with its curves
fold_K/               with outer folds, the same for each of them
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, ListConfig, OmegaConf
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from oadls.command_line import argument, named
from oadls.errors import UserError
from oadls.publish import publish
from oadls.settings import plain
from oadls.sweep.same import CELLS
from oadls.sweep.storage import stored, written
from oadls.sweep.study import counts
from oadls.trust import read_config

FILE = "sweep.yaml"
FACTS = ("study", "storage", "searched", "choices", "overrides", "defaults")
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def study_name(name: str, fold: int | None) -> str:
    """The study of an outer fold; of the whole sweep without one."""
    return name if fold is None else f"{name}-fold_{fold}"


def fold_folder(folder: Path, fold: int | None) -> Path:
    """Where the trials of an outer fold are; the sweep's own folder without one."""
    return folder if fold is None else folder / f"fold_{fold}"


def make_folder(folder: Path) -> None:
    """The sweep's folder, in which its database may be; UserError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"sweep: {folder} cannot be made ({error.strerror}); give hydra.sweep.dir=FOLDER"
        ) from None


def write_sweep(config: DictConfig, searched: list[str]) -> None:
    """sweep.yaml, from what Hydra composed for the sweep; no password is in it."""
    hydra = config.hydra
    settings = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = {
        "study": hydra.sweeper.study_name,
        "storage": written(hydra.sweeper.storage),
        "searched": searched,
        "choices": {
            key: value for key, value in hydra.runtime.choices.items() if "hydra" not in key
        },
        "overrides": [
            followed(line, settings) for line in hydra.overrides.task if named(line) not in searched
        ],
        "defaults": plain(settings),
    }
    with publish(Path(hydra.sweep.dir) / FILE) as draft:  # another sweep may write it too
        OmegaConf.save(OmegaConf.create(found), draft)


def followed(line: str, settings: DictConfig) -> str:
    """A word of the command line with the value that its ${...} came to: none is followed later."""
    if "${" not in line:
        return line
    name = named(line)
    return argument(name, OmegaConf.select(settings, name.lstrip("+")))


def check_folder(folder: Path, study: optuna.Study) -> None:
    """UserError for a folder with the trials of another study: theirs would be mixed with them."""
    left = {int(each.name[6:]) for each in folder.glob("trial-*") if each.name[6:].isdigit()}
    if strangers := left - {trial.number for trial in study.get_trials(deepcopy=False)}:
        raise UserError(
            f"sweep: {folder} has trials that study {study.study_name} does not know "
            f"(trial-{min(strangers)}); delete the folder to start anew, or give name=ANOTHER or "
            "hydra.sweep.dir=ANOTHER"
        )


def _check_facts(facts: DictConfig, file: Path) -> None:
    """UserError unless what names files and groups is a name, and each outer fold a number."""
    folds = facts.defaults.get("outer_folds") or []
    if not all(isinstance(fold, int) for fold in folds):
        raise UserError(f"sweep: {file}: outer_folds are numbers, not {list(folds)}")
    for group, chosen in facts.choices.items():
        for name in (group, *(chosen if isinstance(chosen, ListConfig) else [chosen])):
            check_choice(str(name), file)


def check_choice(name: str, file: Path) -> None:
    """UserError for a name of a config that leads elsewhere, or to Hydra's own settings."""
    parts = Path(name).parts
    if ".." in parts or Path(name).is_absolute() or "hydra" in parts or not name.isprintable():
        raise UserError(f"sweep: {file}: {name!r} is no name of a config group or of its choice")


def check_params(trial: FrozenTrial, searched: Sequence[str]) -> None:
    """UserError for a trial with settings that the sweep did not search."""
    if others := set(trial.params) - set(searched):
        raise UserError(
            f"sweep: trial {trial.number} sets {', '.join(sorted(others))}, which was not searched"
        )


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

    @property
    def cells(self) -> str | None:
        """data_fingerprint of what the best trial saw, None for one that has noted none."""
        noted = self.best.user_attrs.get(CELLS)
        return noted.get("data_fingerprint") if isinstance(noted, dict) else None

    def config_of(self, trial: FrozenTrial) -> DictConfig:
        """All settings of a trial."""
        file = self.folder / f"trial-{trial.number}" / "config.yaml"
        if not file.is_file():
            raise UserError(f"sweep: trial {trial.number} has no {file}")
        return read_config(file)


@dataclass(frozen=True)
class Sweep:
    """A sweep read from its folder.

    facts : content of sweep.yaml
    """

    folder: Path
    facts: DictConfig

    @classmethod
    def read(cls, folder: Path) -> "Sweep":
        """Raises UserError when there is none, or only a part of one."""
        file = folder / FILE
        if not file.is_file():
            raise UserError(f"sweep: {folder} holds no sweep (no {FILE})")
        facts = read_config(file)
        if any(key not in facts for key in FACTS):
            raise UserError(
                f"sweep: {file} is not whole; the command that started the sweep writes it anew"
            )
        _check_facts(facts, file)
        return cls(folder, facts)

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
        storage = stored(self.folder, self.facts.storage)
        found = []
        for fold in self.defaults.get("outer_folds") or [None]:
            name = study_name(self.facts.study, fold)
            try:
                study = optuna.load_study(study_name=name, storage=storage)
                ended = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
            except KeyError:
                raise UserError(f"sweep: no study {name} in {self.facts.storage}") from None
            except (SQLAlchemyError, StorageInternalError, ValueError, TypeError) as error:
                why = str(error).splitlines()[0]
                raise UserError(f"sweep: study {name} cannot be read: {why}") from None
            if not ended:
                raise UserError(f"sweep: study {name} has no finished trial")
            for trial in ended:
                check_params(trial, self.facts.searched)
            found.append(Search(fold, study, fold_folder(self.folder, fold)))
        return found

    def default_value(self, name: str) -> Any:
        """What a searched setting is without the search."""
        name = name.lstrip("+")
        if name in self.facts.choices:
            return self.facts.choices[name]
        return OmegaConf.select(self.defaults, name)
