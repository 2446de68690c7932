"""Every row of Table 3 trains on a few drawn cells and knows more than chance does."""

import json
from pathlib import Path

import pytest

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
NETWORK = ("tune=null", "training.batch_size=8", "training.views=2", "model.backbone.size=32")
FROZEN = ("model.backbone.size=32", "model.estimator.trees=50")
VIT = "model.backbone.name=vit_tiny_patch16_224"
SMALLER = {  # what takes long even by the reduced schedule
    "cnn": (*NETWORK, "training.epochs=6", "optimizer.lr=1e-3"),
    "vit": (*NETWORK, "training.epochs=10", "optimizer.lr=3e-4", VIT),
    "cnn_eca": (*NETWORK, "training.epochs=6"),
    "vgg16": FROZEN,
    "vgg16_finetuned": (*NETWORK, "training.epochs=6"),
    "densenet121": FROZEN,
    "densenet121_finetuned": (*NETWORK, "training.epochs=6"),
    "mobilenetv2": FROZEN,
    "mobilenetv2_finetuned": (*NETWORK, "training.epochs=16", "model.backbone.size=64"),
    "inceptionv3": ("model.backbone.size=80", "model.estimator.trees=50"),
    "inceptionv3_finetuned": (*NETWORK, "training.epochs=5", "model.backbone.size=80"),
    "oadls": ("tune=null", "training.epochs=4", "training.views=2", "training.batch_size=8"),
    "foundation": (VIT, "model.backbone.weights=random", "model.backbone.size=64"),
}


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("name", ROWS)
def test_a_row_beats_chance_on_patients_it_has_not_seen(name: str, tmp_path: Path) -> None:
    run = train_in(tmp_path, f"+experiment=table3/{name}", *FEW, *SMALLER.get(name, ()))
    metrics = json.loads((run / "metrics.json").read_text())
    print(name, metrics["val"]["auroc"], metrics["test"]["auroc"], metrics["train"]["auroc"])
    assert metrics["test"]["auroc"] > 0.6
