"""Every row of Table 3 trains on a few drawn cells and knows more than chance does."""

import json
from pathlib import Path

import pandas as pd
import pytest

from oadls.baselines.keep import read_estimator
from tests.runs import CONF, train_in

ROWS = sorted(file.stem for file in (CONF / "experiment" / "table3").glob("*.yaml"))
FEW = (
    "schedule=reduced",
    "cells=synthetic",
    "data.patients=16",
    "data.cells_per_patient=4",
    "data.window=110",
    "split.folds=2",
    "split.val=0.3",
    "fold=0",
    "floors=false",
    "report=false",
    "trainer.precision=32-true",
)
NETWORK = (
    "tune=null",
    "training.epochs=6",
    "training.batch_size=8",
    "training.views=2",
    "model.backbone.size=32",
)
FROZEN = ("model.backbone.size=32", "model.estimator.trees=50")
VIT = "model.backbone.name=vit_tiny_patch16_224"
SMALLER = {  # what takes long even by the reduced schedule
    "cnn": (*NETWORK, "optimizer.lr=1e-3"),
    "vit": (*NETWORK, "optimizer.lr=3e-4", VIT),
    "cnn_eca": (*NETWORK, "optimizer.lr=1e-4"),
    "vgg16": FROZEN,
    "vgg16_finetuned": (*NETWORK, "optimizer.lr=3e-5"),
    "densenet121": FROZEN,
    "densenet121_finetuned": (*NETWORK, "optimizer.lr=3e-5"),
    "mobilenetv2": FROZEN,
    "mobilenetv2_finetuned": (*NETWORK, "optimizer.lr=3e-3", "model.backbone.size=64"),
    "inceptionv3": (*FROZEN, "model.backbone.size=80"),
    "inceptionv3_finetuned": (*NETWORK, "optimizer.lr=3e-4", "model.backbone.size=80"),
    "oadls": ("tune=null", "training.epochs=4", "training.views=2", "training.batch_size=8"),
    "foundation": (VIT, "model.backbone.weights=random", "model.backbone.size=64"),
}


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("name", ROWS)
def test_a_row_trains_and_beats_chance(name: str, tmp_path: Path) -> None:
    run = train_in(tmp_path, f"+experiment=table3/{name}", *FEW, *SMALLER.get(name, ()))
    if "training.epochs=6" in SMALLER.get(name, ()):
        # ten validation cells choose the checkpoint of a network from scratch at random
        assert pd.read_csv(run / "history.csv")["train/accuracy"].iloc[-3:].mean() > 0.7
    else:
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["test"]["auroc"] > 0.6  # of eight patients that it has not seen


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(("balance", "weight"), [("patient", "balanced"), ("none", None)])
def test_an_estimator_weighs_the_classes_where_a_network_draws_them_equally(
    balance: str, weight: str | None, tmp_path: Path
) -> None:
    probe = ("+experiment=table3/linear_probe", "model.backbone.size=32", "tune=null")
    run = train_in(tmp_path, *probe, *FEW, f"training.balance={balance}")
    fitted = read_estimator(next((run / "checkpoints").glob("*.skops")))
    assert fitted[-1].class_weight == weight
