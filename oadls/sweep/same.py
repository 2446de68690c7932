"""What the trials of one study must share, or their ranking means nothing: settings and cells."""

import json
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from oadls.errors import UserError
from oadls.rows import differences
from oadls.settings import plain

# settings that the commands of one sweep need not share: names, where and how it is computed, what
# is printed; where the images lie, for the cells have a fingerprint
PASSING = (
    "name",
    "logger",
    "engine",
    "report",
    "floors",
    "headline_leaks",
    "sensitivity",
    "coverage",
    "outer_folds",  # each has a study of its own
    "data.root",
    "data.source.root",
    "data.table",
    "data.source.table",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.precision",
    "training.workers",
    "training.compile",
)
SHARED = "shared"  # user attribute of a study: the settings of all its trials
CELLS = "cells"  # user attribute of a trial: which cells, and how many
PAUSE = 2  # seconds in which whoever has made a study says what its trials share
SHOWN = 5  # differences in a message


class OtherCells(UserError):
    """A trial found other cells than those of the study's trials so far."""


def shared_settings(
    config: DictConfig, space: Mapping[str, BaseDistribution], directions: Sequence[str]
) -> dict[str, Any]:
    """All that the trials of a study share, as it reads back from JSON.

    config : as Hydra composed it for the sweep, before anything is searched
    """
    settings = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = plain(settings)
    for name in PASSING:
        *path, last = name.split(".")
        inner: Any = found
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(last, None)
    sweeper = {
        "direction": list(directions),
        "sampler": OmegaConf.to_container(config.hydra.sweeper.sampler, resolve=True),
        "params": {name: str(space[name]) for name in sorted(space)},
    }
    return json.loads(json.dumps({**found, "hydra": {"sweeper": sweeper}}, default=str))


def join_study(study: optuna.Study, shared: Mapping[str, Any], *, way_out: str) -> None:
    """Take part in a study that is there; UserError where its trials share other settings.

    way_out : the setting that starts another study
    """
    known = study.user_attrs.get(SHARED)
    if known is None:
        time.sleep(PAUSE)
        known = study.user_attrs.get(SHARED)
    if known is None:
        if any(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
            raise UserError(
                f"sweep: study {study.study_name} has trials of which nothing tells the settings; "
                f"{way_out} starts another sweep"
            )
        study.set_user_attr(SHARED, shared)
        return
    found = list(differences(known, dict(shared)))
    if found:
        more = f"; … ({len(found)} in all)" if len(found) > SHOWN else ""
        raise UserError(
            f"sweep: study {study.study_name} was started with other settings, and its trials are "
            f"ranked together: {'; '.join(islice(found, SHOWN))}{more}; give the same settings to "
            f"go on, or {way_out} to start another sweep"
        )


def check_cells(study: optuna.Study, number: int) -> None:
    """OtherCells for a trial whose cells are not those of the study's other trials.

    Of two that run at once the first one stays; it is checked again when it has ended, so that
    whatever happens between two looks, no two that are ranked have other cells.
    """
    trials = study.get_trials(deepcopy=False)
    mine = trials[number].user_attrs.get(CELLS)
    for other in trials:
        theirs = other.user_attrs.get(CELLS)
        if mine and theirs and mine != theirs and _stays(other, number):
            raise OtherCells(
                f"sweep: trial {number} found {_said(mine)}, trial {other.number} had "
                f"{_said(theirs)}: trials on other cells cannot be ranked together; bring the "
                "images and labels back as they were to go on, or give name=ANOTHER to start "
                "another sweep"
            )


def _stays(other: FrozenTrial, number: int) -> bool:
    running = other.state == TrialState.RUNNING and other.number < number
    return running or other.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _said(cells: Mapping[str, Any]) -> str:
    return f"{cells['number']} cells (data_fingerprint {cells['data_fingerprint']})"
