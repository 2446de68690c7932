"""The rows of Table 3 are run once each, whatever is killed, fails or was done before."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from oadls.compare import main
from oadls.errors import UserError
from oadls.report.paper import TABLE_3
from oadls.rows import Row, differences, find_rows
from tests.runs import CONF, composed

TINY = """
# @package _global_
defaults:
  - /cells: synthetic
  - override /split: grouped_kfold
  - override /model/head: linear_probe
name: table3/{name}
report: false
floors: false
row: {{title: The {name}, printed: {printed}, method: linear layer, schedule: one epoch}}
data: {{patients: 8, cells_per_patient: 2, window: {window}}}
split: {{folds: 2, val: 0.5}}
model: {{backbone: {{size: 64}}}}
training: {{epochs: 1, views: 1, test_views: 1}}
"""


@pytest.fixture(scope="module")
def more(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where rows of our own are: tiny ones, and one whose setting is refused."""
    home = tmp_path_factory.mktemp("conf")
    place = home / "experiment" / "table3"
    place.mkdir(parents=True)
    kinds = (("tiny", "vgg16", 110), ("other", "null", 110), ("bad", "null", -1))
    for name, printed, window in kinds:
        text = TINY.format(name=name, printed=printed, window=window)
        (place / f"{name}.yaml").write_text(text.lstrip())
    return f"hydra.searchpath=[file://{home}]"


def rows_of(folder: Path, *overrides: str, names: tuple[str, ...] = ("tiny",)) -> list[Row]:
    cells = ["data.patients=8", "data.cells_per_patient=2"]
    return find_rows(folder, "synthetic", overrides=[*overrides, *cells], names=names)


def started(folder: Path, name: str) -> int:
    """How often a row was started."""
    return (folder / f"{name}.log").read_text().count("-m oadls.train")


def test_a_killed_command_goes_on_where_it_was_and_loses_no_row(more: str, tmp_path: Path) -> None:
    arguments = [
        "cells=synthetic",
        "rows=[tiny,bad]",
        "data.patients=8",
        "data.cells_per_patient=2",
        "costs=false",
        f"folder={tmp_path}",
        more,
    ]
    command = [sys.executable, "-m", "oadls.compare", *arguments]
    process = subprocess.Popen(command, cwd=CONF.parent, stdout=subprocess.DEVNULL)
    while not (tmp_path / "tiny.log").is_file():
        time.sleep(0.05)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert main(arguments) == 1  # bad has failed
    assert started(tmp_path, "tiny") == 1  # it went on, and was waited for
    table = pd.read_csv(tmp_path / "table3.csv").set_index("row")
    metrics = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    assert table.loc["tiny", "precision"] == metrics["test"]["precision"]
    assert "data.window" in table.loc["bad", "failed"]
    assert "data.window" in (tmp_path / "report.html").read_text()
    what_is_done_is_not_done_again(arguments, tmp_path)
    assert rows_of(tmp_path, more, names=("bad",))[0].command() is not None  # tried again
    other_settings_are_refused(more, tmp_path)


def what_is_done_is_not_done_again(arguments: list[str], folder: Path) -> None:
    """A row alone that is done: the table is written anew, with what the folder holds."""
    before = (folder / "tiny" / "metrics.json").stat().st_mtime_ns
    shutil.rmtree(folder / "figures")
    assert main([each.replace("[tiny,bad]", "[tiny]") for each in arguments]) == 0
    assert (folder / "tiny" / "metrics.json").stat().st_mtime_ns == before
    assert started(folder, "tiny") == 1
    assert (folder / "figures" / "fig10.png").is_file()


def other_settings_are_refused(more: str, folder: Path) -> None:
    (row,) = rows_of(folder, more)
    assert row.command() is None
    (changed,) = rows_of(folder, more, "training.epochs=2")
    with pytest.raises(UserError, match=r"training\.epochs was 1, is 2.*folder=ANOTHER"):
        changed.command()
    assert not changed.is_same
    (same,) = rows_of(folder, more, "trainer.precision=32-true")  # may change on resuming
    assert same.command() is None


def test_a_row_that_was_killed_is_resumed(more: str, tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "it's a = folder", more)
    command = row.command()
    assert command is not None
    assert not any(part.startswith("ckpt_path") for part in command)
    row.folder.mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(row.settings), row.folder / "config.yaml")
    command = row.command()
    assert command is not None
    assert composed("train", *command[3:]).ckpt_path == str(row.folder)


def test_rows_stand_in_the_order_of_the_paper(more: str, tmp_path: Path) -> None:
    rows = rows_of(tmp_path, more, names=("other", "tiny", "bad"))
    assert [row.name for row in rows] == ["tiny", "bad", "other"]  # the paper has one
    assert all(not row.fault for row in rows)


def test_a_row_without_a_schedule_is_run_as_it_is(more: str, tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, more, "schedule=reduced")
    assert not row.fault
    assert "schedule=reduced" not in row.overrides


def test_what_cannot_be_composed_is_the_fault_of_that_row(more: str, tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, more, "model/head=none_such")
    assert "model/head/none_such" in row.fault
    with pytest.raises(UserError, match="none_such"):
        row.command()
    with pytest.raises(UserError, match=r"rows: \['none_such'\] are none of"):
        rows_of(tmp_path, more, names=("none_such",))


def test_differences_are_named_by_their_path() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": None, "gone": 3}
    now = {"a": {"b": 2, "c": [1, 2]}, "d": None, "new": "x"}
    assert list(differences(before, now)) == [
        "a.b was 1, is 2",
        "gone was 3, is null",
        'new was null, is "x"',
    ]


@pytest.mark.parametrize(
    "arguments", [[], ["rows=[cnn]"], ["cells=a", "jobs=0"], ["cells=a", "-m"]]
)
def test_a_command_that_is_none_shows_the_usage(arguments: list[str], capsys) -> None:
    assert main(arguments) == 2
    assert "usage: python -m oadls.compare cells=NAME" in capsys.readouterr().err


def test_every_shipped_row_says_what_it_is(tmp_path: Path) -> None:
    rows = find_rows(tmp_path, "all_idb2", overrides=["schedule=reduced"])
    assert [row.name for row in rows if row.name in TABLE_3] == list(TABLE_3)
    for row in rows:
        assert not row.fault
        about = row.settings["row"]
        assert about["title"]
        assert about["method"]
        assert about["printed"] in (None, *TABLE_3)
    budgets = {len(row.settings["tune"]) for row in rows}
    assert len(budgets) == 1  # no row is tuned more than another
