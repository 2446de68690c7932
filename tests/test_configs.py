"""Every config composes, every target exists, every bound keyword is one that it takes."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from oadls.experiment import build
from tests.runs import CONF, composed

GROUPS = ("data", "split", "pipeline", "crop", "augment", "optimizer", "trainer", "logger")
NESTED = ("model/backbone", "model/head")
OF_ESTIMATORS = ("model/inputs", "model/estimator")
EXPERIMENTS = sorted(
    str(file.relative_to(CONF / "experiment").with_suffix(""))
    for file in (CONF / "experiment").rglob("*.yaml")
)
ROWS = [name for name in EXPERIMENTS if name.startswith("table3/")]
FOLDER = "data.root=somewhere"


def targets(config: Any) -> Iterator[dict[str, Any]]:
    """Every node with a `_target_`."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        for value in config.values():
            yield from targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from targets(value)


def assert_sound(config: DictConfig) -> None:
    plain = OmegaConf.to_container(config, resolve=True)
    nodes = list(targets(plain))
    assert nodes
    for node in nodes:
        target = get_object(node["_target_"])
        taken = inspect.signature(target).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in taken.values())
        for name in node:
            if not name.startswith("_"):
                assert open_ended or name in taken, f"{node['_target_']} does not take {name}"


def choices() -> list[str]:
    return [
        f"{group}={file.stem}"
        for group in (*GROUPS, *NESTED)
        for file in sorted((CONF / group).glob("*.yaml"))
    ]


@pytest.mark.parametrize("choice", choices())
def test_every_group_is_sound(choice: str) -> None:
    more = [f"+{FOLDER}"] if choice == "data=folder" else []
    assert_sound(composed("train", choice, *(m.removeprefix("+") for m in more)))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_sound_and_carries_its_name(name: str) -> None:
    config = composed("train", f"+experiment={name}")
    assert_sound(config)
    assert config.name == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_a_lab_note(name: str) -> None:
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    assert "# python -m oadls.train" in text
    assert "took" in text or "Not run" in text


@pytest.mark.parametrize("group", OF_ESTIMATORS)
def test_every_part_of_an_estimator_is_sound(group: str) -> None:
    for file in sorted((CONF / group).glob("*.yaml")):
        assert_sound(composed("train", "model=frozen", f"{group}={file.stem}"))


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_a_title_and_a_reduced_schedule(name: str) -> None:
    for cells in ("all_idb2", "c_nmc_fold1"):
        config = composed("train", f"+experiment={name}", f"cells={cells}", "schedule=reduced")
        assert_sound(config)
        assert config.row.title
        assert config.row.method
        assert config.row.schedule or "head" not in config.model


def test_every_row_tries_as_many_settings() -> None:
    assert {len(composed("train", f"+experiment={name}").tune) for name in ROWS} == {2}


@pytest.mark.parametrize("group", ["cells", "without"])
def test_every_arm_of_the_ablation_is_sound(group: str) -> None:
    for file in sorted((CONF / group).glob("*.yaml")):
        config = composed("train", "+experiment=ablation", f"{group}={file.stem}")
        assert_sound(config)
        assert config[group] == file.stem


@pytest.mark.parametrize("entry", ["prepare", "evaluate", "audit"])
def test_every_entry_point_composes(entry: str) -> None:
    more = ["checkpoint=somewhere"] if entry == "evaluate" else []
    assert_sound(composed(entry, *more))


@pytest.mark.parametrize("engine", sorted(file.stem for file in (CONF / "engine").glob("*.yaml")))
def test_every_engine_is_sound(engine: str) -> None:
    assert_sound(composed("prepare", f"engine={engine}"))


def test_steps_are_built_as_plain_partials() -> None:
    config = composed("train")
    for node in (config.pipeline, config.crop, config.augment, config.optimizer, config.split):
        step = build(node)
        assert type(step).__module__ == "functools"


@pytest.mark.parametrize(
    "file", sorted((CONF / "sweep").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_sweep_searches_settings_that_are_there(file: Path) -> None:
    config = composed("train", "+experiment=all_idb2", f"+sweep={file.stem}", hydra=True)
    assert not config.test
    # one test part, that no trial sees, or a search for each fold
    assert "grouped_holdout" in config.split._target_ or config.outer_folds
    for setting in config.hydra.sweeper.params:
        chosen = config.hydra.runtime.choices.get(setting)
        assert chosen or OmegaConf.select(config, setting, throw_on_missing=True) is not None
