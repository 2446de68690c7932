"""What people type is read as they mean it; what Hydra reads rightly stays as it is."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from oadls.command_line import NAMES, understood
from oadls.errors import UserError
from oadls.paths import PATHS, expand_home
from tests.runs import CONF, composed

ENTRIES = ("train", "prepare", "audit", "evaluate")
LETTERS = st.sampled_from("aZ09 /.-_()[]{}=#~,;:&!?%@^|<>'\"ü白ع") | st.characters(codec="utf-8")
TEXTS = st.text(LETTERS, min_size=1).filter(lambda text: "$" not in text and text == text.strip())
PEOPLE_HAVE = (
    "/data/Müller",
    "/data/Blood cell Cancer [ALL]",
    "/data/cells (1)",
    "/data/run=3",
    "/data/smear #3",
    "/data/O'Brien & co",
    "/data/a,b",
    "C:\\data\\cells",
    "2024",
    "[ALL]",
    "1e3",
    "白血病",
)


def value(argument: str) -> object:
    """What Hydra reads."""
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("setting", [*PATHS, *NAMES, "data.columns.patient"])
@pytest.mark.parametrize("text", PEOPLE_HAVE)
def test_a_path_or_a_name_is_a_text_whatever_it_looks_like(setting: str, text: str) -> None:
    for sign in ("", "+", "++"):
        (found,) = understood([f"{sign}{setting}={text}"])
        assert found.startswith(f"{sign}{setting}=")
        assert value(found) == text


@given(TEXTS)
def test_every_path_arrives(text: str) -> None:
    (found,) = understood([f"data.table=/{text}"])
    quoted = text.startswith(("'", '"')) or "\\" in text
    assert quoted or value(found) == f"/{text}"
    assert understood([found]) == [found]  # as ranks and launchers give it again


@given(st.text(LETTERS))
def test_what_hydra_reads_stays_as_it_is(text: str) -> None:
    argument = f"optimizer.lr={text}"
    try:
        value(argument)
    except Exception:
        return
    assert understood([argument]) == [argument]


@pytest.mark.parametrize(
    "argument",
    [
        "data.root='/data/Müller'",
        'data.root="a [b]"',
        "export=null",
        "data.table=${oc.env:HOME}/x",
        "data.classes=[all,hem]",
        "~data.table",
        "optimizer.lr=1e-4,1e-3",
        "--config-dir",
        "-m",
        "--cfg=job",
    ],
)
def test_what_is_right_already_stays(argument: str) -> None:
    assert understood([argument]) == [argument]


@pytest.mark.parametrize("flag", ["--cfg", "-c", "--info", "-i", "--package", "--config-dir"])
def test_what_a_flag_of_hydras_takes_is_no_setting(flag: str) -> None:
    assert understood([flag, "job", "seed=1"]) == [flag, "job", "seed=1"]


def test_several_values_are_a_choice_where_there_are_several_runs_alone() -> None:
    assert understood(["-m", "data.root=a,b"]) == ["-m", "data.root=a,b"]
    assert value(understood(["data.root=a,b"])[0]) == "a,b"


def test_classes_are_named_in_any_script() -> None:
    (found,) = understood(["data.classes=[白血病, normal (1),'a,b']"])
    assert value(found) == ["白血病", "normal (1)", "a,b"]


@pytest.mark.parametrize("argument", ["optimizer.lr=1e-3)", "tune=[a=1,b=(]", "data.seed=#3"])
def test_for_other_settings_the_way_to_write_it_is_shown(argument: str) -> None:
    with pytest.raises(UserError, match="Hydra reads this value in quotes alone") as error:
        understood([argument])
    (shown,) = shlex.split(str(error.value).rsplit("alone: ", 1)[1])  # as a shell reads it
    assert understood([shown]) == [shown]
    assert value(shown) is not None


def test_an_argument_that_is_no_setting_is_named() -> None:
    with pytest.raises(UserError, match=r"settings are KEY=VALUE.*'quickstart' is none"):
        understood(["quickstart"])


def test_what_follows_a_flag_of_hydra_is_no_setting() -> None:
    """Read from Hydra's own description, so that a new flag is noticed."""
    flags = [action for action in get_args_parser()._actions if action.nargs != 0]
    names = [name for action in flags for name in action.option_strings]
    assert {"--cfg", "-cn"} <= set(names)
    for name in names:
        assert understood([name, "a (1)"]) == [name, "a (1)"]


def test_home_is_found_wherever_a_path_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for setting in PATHS:
        for text in ("~/cells", "'~/cells'", "~/Müller (1)"):
            (found,) = understood([f"{setting}={text}"])
            assert str(value(found)) == text.strip("'").replace("~", "/home/me")
    assert understood(["name='~/x'"]) == ["name='~/x'"]
    config = OmegaConf.create({"data": {"root": "${home}/x", "table": None}, "home": "~"})
    expand_home(config)
    assert config.data.root == "/home/me/x"


@pytest.mark.parametrize("group", ["experiment", "sweep", "experiment/table3"])
def test_an_experiment_is_given_with_or_without_a_plus(group: str) -> None:
    assert understood([f"{group}=x"]) == [f"+{group}=x"]
    assert understood([f"+{group}=x"]) == [f"+{group}=x"]
    assert understood([f"{group}=x", "-cn", "mine"])[0] == f"{group}=x"


@pytest.mark.parametrize("name", ["quickstart", "c_nmc_fold1", "table3/vgg16"])
def test_every_command_takes_an_experiment(name: str) -> None:
    prepared, trained = (composed(e, f"+experiment={name}") for e in ("prepare", "train"))
    assert composed("audit", f"+experiment={name}").data == trained.data == prepared.data


def test_an_experiment_is_prepared_without_pytorch(tmp_path: Path) -> None:
    code = """if True:
        import runpy, sys
        sys.argv[1:] = sys.argv[2:]
        try:
            runpy.run_module("oadls.prepare", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            print(end.code, "torch" in sys.modules)
    """
    settings = ["experiment=all_idb2", "data.root=/no/where (1)", f"hydra.run.dir={tmp_path}/a b"]
    command = [sys.executable, "-c", code, "oadls.prepare", *settings]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CONF.parent)
    assert "/no/where (1) is not" in done.stderr, done.stderr
    assert done.stdout.strip() == "1 False"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("data=folder",), "oadls: data.root is not given: add data.root=..."),
        (("optimizer.lr=1e-3)",), "oadls: optimizer.lr=1e-3): Hydra reads this value in quotes"),
    ],
)
def test_a_slip_is_told_in_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "oadls.prepare", *arguments, "hydra.run.dir=run"]
    env = {"PYTHONPATH": str(CONF.parent), "PATH": "/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(told)
