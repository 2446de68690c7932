"""What a sweep found as experiments that are ready to be trained: experiment/NAME_tuned.yaml."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from optuna.trial import FrozenTrial

from oadls.command_line import argument, named, parse
from oadls.errors import UserError
from oadls.publish import publish_text
from oadls.sweep.folder import FILE, Sweep, check_choice
from oadls.trust import check_changes

# settings that a ready experiment does not take over
OF_SWEEPS = ("name", "fold", "logger", "trial", "test", "pruner", "outer_folds")


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
    name = f"{sweep.defaults.name}_{name}"
    groups, values, deleted = _differences(sweep, trial)
    content = OmegaConf.create({"name": name})
    for key, value in values.items():
        OmegaConf.update(content, key, value, force_add=True)
    check_changes(OmegaConf.to_container(content), sweep.folder / FILE)
    base = facts.choices.get("experiment")
    _check_own(sweep.folder, [{"experiment": base}, *groups])
    defaults = [*([f"/experiment/{base}"] if base else []), *groups, "_self_"]
    file = sweep.folder / "experiment" / f"{name}.yaml"
    publish_text(
        file,
        "# @package _global_\n"
        f"# Trial {trial.number}, {what}.\n"
        f"# An honest score needs the sweep's own split (split={facts.choices.split}): others may\n"
        "# test cells that chose these values.\n"
        f"# {command_for(sweep.folder, name, *deleted)}\n"
        + OmegaConf.to_yaml(OmegaConf.merge({"defaults": defaults}, content)),
    )
    return file


def _check_own(folder: Path, groups: Sequence[Mapping[str, Any]]) -> None:
    """UserError for a choice that the sweep's own folder would give: with it the experiment runs.

    Nothing of ours lies there but ready experiments; a folder that came from elsewhere may hold
    other configs, and `--config-dir` would find them.
    """
    for choice in groups:
        for group, name in choice.items():
            group = group.removeprefix("override /")
            check_choice(str(name), folder / FILE)
            if (folder / group / f"{name}.yaml").exists():
                raise UserError(f"sweep: {folder} has a config of its own for {group}={name}")


def _differences(
    sweep: Sweep, trial: FrozenTrial
) -> tuple[list[dict[str, Any]], dict[str, Any], list[str]]:
    """What a trial has other than its experiment: chosen groups, values, deleted settings."""
    choices, defaults = sweep.facts.choices, sweep.defaults
    groups, values, deleted = [], {}, []
    for line in sweep.facts.overrides:
        override = parse(line)
        key = named(line).lstrip("+~")
        if key in choices:
            chosen = choices[key]
            groups += [] if key in ("sweep", "experiment") else [{f"override /{key}": chosen}]
        elif key.split(".")[0] in OF_SWEEPS:
            continue
        elif override.is_delete():
            deleted.append(line)
        else:
            values[key] = OmegaConf.select(defaults, key)
    for name, value in trial.params.items():
        key, chosen = name.lstrip("+"), parse(argument(name, value)).value()
        if key in choices:
            groups.append({f"override /{key}": chosen})
        else:
            values[key] = chosen
    return groups, values, deleted


def command_for(folder: Path, name: str, *more: str) -> str:
    """The command line, on one line, that trains a ready experiment of a sweep's folder."""
    experiment = argument("+experiment", name)
    words = ["python", "-m", "oadls.train", "--config-dir", str(folder), experiment, *more]
    return " ".join(shlex.quote(word) for word in words).replace("\n", "$'\\n'")
