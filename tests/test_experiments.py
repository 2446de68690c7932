"""The shipped experiments run on real images, thinned so that a test can wait for them."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.runs import thinned_all_idb2, thinned_fold_1, train_in

QUICK = (
    "training.epochs=1",
    "training.views=1",
    "training.test_views=1",
    "model.backbone.size=160",
    "model/head=linear_probe",
    "model.backbone.train_last=0",
    "report=false",
)


pytestmark = pytest.mark.usefixtures("own_cache")


def run(folder: Path, *overrides: str) -> dict:
    """The metrics of a quick run."""
    return json.loads((train_in(folder, *overrides, *QUICK) / "metrics.json").read_text())


@pytest.fixture(scope="module")
def c_nmc(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """C-NMC with every 40th cell of fold_1 and all that is there of the other parts."""
    return thinned_fold_1(data_dir, tmp_path_factory.mktemp("c-nmc"), every=40)


@pytest.mark.parametrize("name", ["c_nmc", "c_nmc_paper"])
def test_the_full_set_trains_on_whatever_is_there(name: str, c_nmc: Path, tmp_path: Path) -> None:
    metrics = run(tmp_path, f"+experiment={name}", f"data.root={c_nmc}", "floors=false")
    assert metrics["by_image"] == (name == "c_nmc_paper")
    assert (metrics["headline"] is None) == metrics["by_image"]
    assert metrics["test"]["cells"] > 0
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert {"fold_0", "fold_1", "fold_2"} <= set(cells["part"])


def test_fold_1_is_split_by_patient_into_three(c_nmc: Path, tmp_path: Path) -> None:
    metrics = run(tmp_path, "+experiment=c_nmc_fold1", f"data.root={c_nmc}")
    assert metrics["patients"] == 14
    assert len(metrics["folds"]) == 3
    assert metrics["test"]["cells"] == sum(fold["test"]["cells"] for fold in metrics["folds"])
    assert "3 of normal" in metrics["test"]["uncertainty"]["warning"]
    predictions = pd.read_csv(tmp_path / "predictions.csv", dtype={"patient": str})
    healthy = predictions[predictions["label"] == "normal"]
    assert healthy.groupby("fold")["patient"].nunique().tolist() == [1, 1, 1]
    assert predictions.groupby("patient")["fold"].nunique().max() == 1


def test_cell_whole_and_background_see_different_pictures(data_dir: Path, tmp_path: Path) -> None:
    root = thinned_all_idb2(data_dir, tmp_path / "all-idb2", every=13)
    found = {}
    for name in ("all_idb2", "all_idb2_whole", "all_idb2_background"):
        metrics = run(tmp_path / name, f"+experiment={name}", f"data.root={root}", "split.folds=2")
        assert metrics["test"]["cells"] == 20
        assert metrics["test"]["uncertainty"]["unit"].startswith("an image")
        found[name] = (tmp_path / name / "predictions.csv").read_text()
    assert len(set(found.values())) == 3


def test_wandb_keeps_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    run(
        tmp_path,
        "data.patients=6",
        "data.cells_per_patient=2",
        "split.val=0.3",
        "split.test=0.3",
        "logger=wandb",
        "floors=false",
    )
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
