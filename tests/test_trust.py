"""A config that was loaded names what this project's own configs name, where they name it."""

import copy
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from oadls.cache import cache_folder
from oadls.errors import UserError
from oadls.experiment import build
from oadls.settings import plain
from oadls.trust import (
    CSV,
    TRUSTED,
    as_text,
    check_entry,
    checked,
    read_config,
    read_settings,
    trusting,
)
from tests.runs import CONF, composed

HERE = Path("run/config.yaml")  # where a message says that a config came from
CODE = (
    "os.system",
    "builtins.eval",
    "hydra.utils.get_method",
    "hydra.utils.instantiate",
    "pytorch_lightning.LightningModule.load_from_checkpoint",
    "pytorch_lightning.callbacks.ModelCheckpoint",
    "oadls.cache.clear",
    "oadls.train.train",
    "torch.load",
    "torch.optim.Adam",
)


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """What a run leaves in its config.yaml."""
    return plain(composed("train"))


def saved(folder: Path, settings: Any) -> Path:
    file = folder / "config.yaml"
    OmegaConf.save(OmegaConf.create(settings), file)
    return file


def named(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """(place, target) of every target in what a file of conf/ holds."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield place, node["_target_"]
        for key, value in node.items():
            yield from named(value, f"{place}.{key}".strip("."))
    elif isinstance(node, list):
        for value in node:
            yield from named(value, place)


def test_the_list_is_what_the_configs_name_and_nothing_else() -> None:
    found = defaultdict(set)
    for file in CONF.rglob("*.yaml"):
        text = file.read_text()
        told = re.search(r"^# @package (\S+)", text, re.MULTILINE)
        package = told[1] if told else ".".join(file.parent.relative_to(CONF).parts)
        for place, target in named(yaml.safe_load(text), package.replace("_global_", "")):
            found[place].add(target)
    left = {place for place in found if place.split(".")[0] in ("hydra", "engine")}
    assert not {"hydra", "engine"} & set(composed("train"))  # so they are in no run and checkpoint
    assert {place: names for place, names in found.items() if place not in left} == TRUSTED


def test_files_of_others_are_opened_in_one_place() -> None:
    opens = r"(torch|pickle|joblib|yaml|np|numpy)\.(unsafe_|full_)?loads?\(|OmegaConf\.load\("
    opens += r"|load_from_checkpoint\(|weights_only=False|allow_pickle=True|instantiate\("
    found = {
        str(file.relative_to(CONF.parent / "oadls"))
        for file in (CONF.parent / "oadls").rglob("*.py")
        if re.search(opens, file.read_text())
    }
    own = {"experiment.py", "model/weights.py", "report/sections/checklist.py", "sweep/sampler.py"}
    assert found - own == {"trust.py"}  # the others open what is installed, or the user's config


def test_everything_on_the_list_is_a_class_or_a_function_of_its_own() -> None:
    for target in set().union(*TRUSTED.values()):
        found = get_object(target)
        assert callable(found)
        assert found.__qualname__ == found.__name__ == target.rsplit(".", 1)[1]  # no method


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """The way to every node of a config that could hold another."""
    if isinstance(node, dict | list):
        yield path
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, (*path, key))


def put(settings: dict[str, Any], data: st.DataObject, key: Any, value: Any) -> dict[str, Any]:
    """The settings with one thing more, anywhere."""
    changed = copy.deepcopy(settings)
    node = changed
    for step in data.draw(st.sampled_from(sorted(places(settings), key=str))):
        node = node[step]
    if isinstance(node, list):
        node.append(value)
    else:
        node[key] = value
    return changed


@given(data=st.data(), deep=st.integers(0, 3), target=st.sampled_from(CODE))
def test_code_is_refused_wherever_it_stands(settings, data, deep, target) -> None:
    node: Any = {"_target_": target, "_args_": ["touch owned"]}
    for _ in range(deep):
        node = data.draw(st.sampled_from([{"_args_": [node]}, {"inner": node}, [node]]))
    changed = put(settings, data, data.draw(st.sampled_from(["source", "_args_", "x"])), node)
    with pytest.raises(UserError, match=r"run/config\.yaml: .* would run") as told:
        checked(changed, HERE)
    assert target in str(told.value)
    assert f"trust=[{target}]" in str(told.value)
    assert "\n" not in str(told.value)


@given(data=st.data(), place=st.sampled_from(sorted(TRUSTED)))
def test_what_is_on_the_list_is_refused_in_another_place(settings, data, place) -> None:
    target = data.draw(st.sampled_from(sorted(TRUSTED[place])))
    changed = put(settings, data, "stray", {"_target_": target})
    with pytest.raises(UserError, match="would run"):
        checked(changed, HERE)


@pytest.mark.parametrize("target", [None, 1, ["os.system"], {"_target_": "os.system"}, "${x}", ""])
def test_a_target_that_is_no_name_is_refused(settings, target) -> None:
    with pytest.raises(UserError, match=r"optimizer would run"):
        checked(settings | {"optimizer": {"_target_": target}}, HERE)


@pytest.mark.parametrize("key", ["_execution_whitelist_", "_isolate_", "x._target_", "_target_.x"])
def test_keys_that_would_speak_to_hydra_are_refused(settings, key) -> None:
    with pytest.raises(UserError, match="is no setting"):
        checked(settings | {"data": settings["data"] | {key: "os.system"}}, HERE)


@given(data=st.data(), text=st.sampled_from(["${x}", "a${oc.env:HOME}", "${owned:}", "$${x}"]))
def test_nothing_is_resolved(settings, data, text) -> None:
    ran = []
    OmegaConf.register_resolver("owned", lambda: ran.append(1), replace=True)
    in_key = data.draw(st.booleans())
    changed = put(settings, data, text if in_key else "x", {text: 1} if in_key else text)
    with pytest.raises(UserError, match=r"is not followed|is no setting"):
        checked(changed, HERE)
    assert not ran


@given(st.text(alphabet=st.sampled_from("a\\${}:. ")))
def test_a_name_stays_as_it_is_in_a_config(name) -> None:
    assume(name != "???")
    config = DictConfig({"data": {"classes": [as_text(name)]}})
    assert OmegaConf.to_container(config, resolve=True) == {"data": {"classes": [name]}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is empty"),
        ("# nothing\n", "it is empty"),
        ("- 1\n", "it is a list"),
        ("seed: 1", "its last line has no end"),
        ("seed: 1\n", "it has no name, data"),
        ("seed: [1\n", "is no config, or half of one"),
        ("a: 1\na: 2\n", "is no config, or half of one"),
        ("a: !!python/object/apply:os.system ['touch owned']\n", "line 1 has a tag"),
        ("b: 1\na: !!python/object/apply:pathlib.PosixPath [x]\n", "line 2 has a tag"),
        ("a: &a [1, 1]\nb: *a\n", "an alias of YAML"),
        ("[" * 100_000, "lies too deep"),
        ("{a: " * 100_000, "lies too deep"),
        ("a: " + "x" * 2_000_000 + "\n", "too large"),
    ],
)
def test_a_file_that_is_no_config_is_named_in_one_sentence(tmp_path, content, why) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=why) as told:
        read_config(file)
    assert str(file) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_config_that_cannot_be_read_is_named(tmp_path) -> None:
    (tmp_path / "config.yaml").write_bytes("seed: 1\n".encode("utf-16"))
    for file in (tmp_path / "config.yaml", tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(UserError, match="cannot be read"):
            read_config(file)


def test_half_a_config_never_has_another_value(tmp_path, settings) -> None:
    whole = saved(tmp_path, settings).read_bytes()
    half = tmp_path / "half.yaml"
    for end in range(0, len(whole), 37):
        half.write_bytes(whole[:end])
        try:
            found = read_settings(half)
        except UserError:
            continue
        assert found.items() <= read_settings(tmp_path / "config.yaml").items() or (
            end < len(whole) and whole[end - 1 : end] == b"\n"
        )


@pytest.mark.parametrize("more", [(), ("+experiment=table3/gao_svm",), ("trainer=ddp",)])
def test_a_config_of_ours_comes_back_as_it_was(tmp_path, more) -> None:
    settings = plain(composed("train", *more))
    found = read_config(saved(tmp_path, settings))
    wanted = {key: value for key, value in settings.items() if key not in ("trust", "logger")}
    assert {key: value for key, value in found.items() if key != "logger"} == wanted
    assert found.logger == CSV


def test_what_would_write_elsewhere_is_set_aside(tmp_path, settings) -> None:
    strange = copy.deepcopy(settings)
    strange["data"]["root"] = strange["data"]["source"]["root"] = "/etc"
    strange["trainer"] |= {"default_root_dir": "/etc", "profiler": "simple", "logger": True}
    strange["logger"] = {"_target_": CSV["_target_"], "save_dir": "/etc"}
    strange |= {"hydra": {"run": {"dir": "/etc"}}, "engine": {"address": "ray://elsewhere"}}
    found = plain(read_config(saved(tmp_path, strange)))
    assert "/etc" not in str(found)
    assert "elsewhere" not in str(found)
    assert found["trainer"] == settings["trainer"]
    assert found["data"]["source"]["root"] == str(cache_folder() / "synthetic")


def test_drawn_cells_stay_where_they_are(tmp_path, settings) -> None:
    own = copy.deepcopy(settings)
    own["data"]["root"] = own["data"]["source"]["root"] = str(tmp_path)
    (tmp_path / "synthetic-0").mkdir()  # no drawn set: it has no images
    assert checked(own, HERE)["data"]["root"] == str(cache_folder() / "synthetic")
    (tmp_path / "synthetic-0" / "images").mkdir()
    assert checked(own, HERE)["data"] == own["data"]


def test_nothing_is_fetched(settings) -> None:
    source = {"_target_": "oadls.data.sources.c_nmc.load", "_partial_": True, "download": True}
    asked = settings | {"data": settings["data"] | {"source": source}}
    with pytest.raises(UserError, match=r"data\.source\.download would run kagglehub"):
        checked(asked, HERE)
    with trusting(["kagglehub.dataset_download"]):
        assert checked(asked, HERE)["data"]["source"]["download"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", 3, None, ["x"]])
def test_a_name_leads_nowhere_else(settings, name) -> None:
    with pytest.raises(UserError, match="name is a name"):
        checked(settings | {"name": name}, HERE)


def test_a_class_of_the_user_is_allowed_by_name(settings) -> None:
    own = settings | {"model": settings["model"] | {"head": {"_target_": "mylab.Net"}}}
    with pytest.raises(UserError, match=r"model\.head would run mylab\.Net"):
        checked(own, HERE)
    with trusting(["mylab.Net"]):
        assert checked(own, HERE)["model"]["head"] == {"_target_": "mylab.Net"}
    assert checked(own, HERE, like=DictConfig(own))["model"] == own["model"]
    with pytest.raises(UserError), trusting(["mylab"]):  # no prefix of it
        checked(own, HERE)


def test_what_opens_a_checkpoint_lends_it_no_more_than_its_own_classes(settings) -> None:
    stray = settings | {"optimizer": {"_target_": "pytorch_lightning.Trainer"}}
    with pytest.raises(UserError, match=r"optimizer would run pytorch_lightning\.Trainer"):
        checked(stray, HERE, like=DictConfig(settings))


def test_the_users_own_config_may_name_any_class() -> None:
    assert build(DictConfig({"_target_": "fractions.Fraction", "numerator": 3})) == 3
    own = {"_target_": f"{__name__}.saved", "_partial_": True, "folder": "x"}
    assert build(DictConfig(own)).keywords == {"folder": "x"}


@pytest.mark.parametrize(
    "entry",
    [
        "optimizer._target_=os.system",
        "model.head={_target_: os.system}",
        "model.head={a: [{_target_: os.system}]}",
        "optimizer.lr=${oc.env:HOME}",
        "model.head={_target_: [}",
        "optimizer.lr=" + "[" * 100_000,
        "a=!!python/object/apply:pathlib.PosixPath",
    ],
)
def test_an_entry_of_tune_names_no_code(settings, entry) -> None:
    with pytest.raises(UserError):
        check_entry(entry, HERE)
    with pytest.raises(UserError):
        checked(settings | {"tune": ["optimizer.lr=1e-4", entry]}, HERE)
    check_entry("optimizer.lr=1e-4 model.head.dropout=0.3", HERE)
