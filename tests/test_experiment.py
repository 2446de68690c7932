"""What an experiment says of its cells before anything is made of them, and where it computes."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from oadls.errors import UserError
from oadls.experiment import Experiment, list_cells
from oadls.pipeline import PreparedCells
from tests.runs import composed


def opened(*overrides):
    """An experiment whose cells nobody looks at."""
    return Experiment(composed("train", *overrides), cells=None, prepared=None)


@pytest.mark.parametrize(
    ("overrides", "found", "device"),
    [
        ((), "cuda", "cpu"),
        (("trainer=gpu",), "cuda", "cuda"),
        (("trainer=gpu",), None, "cpu"),
        (("trainer=ddp",), "mps", "mps"),
    ],
)
def test_features_are_extracted_where_the_trainer_computes(monkeypatch, overrides, found, device):
    accelerator = found and torch.device(found)
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available: accelerator
    )
    assert opened(*overrides).device == device


def test_a_command_without_a_trainer_computes_on_the_cpu():
    assert Experiment(composed("prepare"), cells=None, prepared=None).device == "cpu"


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """cells("all/1", ...) -> a folder of noise, in which nothing may be prepared."""
    monkeypatch.setenv("OADLS_CACHE_DIR", str(tmp_path / "cache"))

    def made(*names):
        rng = np.random.default_rng(0)
        for name in names:
            file = tmp_path / "cells" / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(256, size=(20, 20, 3), dtype=np.uint8)).save(file)
        return tmp_path / "cells"

    return made


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["all/1", "all/2"], [], "training needs cells of two classes, all 2 are all"),
        (["1", "2"], [], "training needs cells of two classes, none has a label"),
        (["all/1", "hem/2"], ["data.classes=[all,hem,x]"], "there is none of x: take it out"),
        (["all/1", "hem/2"], ["data.positive=ALL"], "one of the classes all, hem, not ALL"),
        (["all/1", "hem/2"], ["data.classes=[all]"], "classes are all; .*2.png has hem"),
        (["TRAIN/all/1", "TEST/all/2"], [], "which folder names the class"),
    ],
)
def test_cells_that_cannot_be_trained_on_are_refused_before_any_is_prepared(
    cells, monkeypatch, names, settings, message
):
    monkeypatch.setattr(PreparedCells, "fill", None)
    root = cells(*names)
    cfg = composed("train", "data=folder", f"data.root={root}", *settings)
    with pytest.raises(UserError, match=message):
        Experiment.open(cfg, to_train=True)


@pytest.mark.parametrize("entry", ["train", "audit", "prepare"])
def test_every_command_begins_with_the_classes_and_what_was_left_out(cells, caplog, capsys, entry):
    root = cells("0/1", "0/2", "0/2_mask", "1/3")
    (root / "2").mkdir()
    with caplog.at_level(logging.INFO):
        cfg = composed(entry, "data=folder", f"data.root={root}", "data.positive=1")
        list_cells(cfg)
    assert caplog.messages[0] == (
        "folder: 2 classes: 0 with 2 cells, patients unknown, "
        "1 (positive) with 1 cell, patients unknown"
    )
    printed = capsys.readouterr().out
    assert "1: looks like a mask or a picture of the image beside it" in printed
    assert "no image in it" in printed


@pytest.mark.parametrize("names", [["0", "1"], ["no", "yes"], ["010", "7"], ["1.0", "2.0"]])
def test_classes_that_hydra_takes_for_values_can_be_named(cells, names):
    root = cells(*(f"{name}/{k}" for k, name in enumerate(names)))
    settings = [f"data.positive={names[1]}", f"data.classes=[{names[1]},{names[0]}]"]
    cfg = composed("train", "data=folder", f"data.root={root}", *settings)
    experiment = Experiment(cfg, list_cells(cfg, to_train=True), prepared=None)
    assert experiment.classes == names[::-1]
    assert experiment.positive == names[1]
    assert experiment.labels.tolist() == [1, 0]
