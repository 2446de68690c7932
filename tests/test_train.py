"""Train, resume and evaluate end to end on a small drawn set."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oadls.errors import UserError
from oadls.evaluate import evaluate
from oadls.evaluation import load_cards, seen_by
from oadls.metrics import fitness
from oadls.model.classifier import Classifier
from oadls.patients import patient_marks
from oadls.stopping import Stopped, stoppable
from oadls.training import working_in
from tests.runs import composed, train_in

SMALL = (
    "data.patients=8",
    "data.cells_per_patient=5",
    "data.window=110",
    "model.backbone.size=160",
    "training.epochs=3",
    "training.views=2",
    "training.batch_size=8",
    "training.patience=9",
    "split.val=0.25",
    "report=false",  # has tests of its own
    "trainer.precision=32-true",  # evaluation must keep to it where the default is bf16
)


pytestmark = pytest.mark.usefixtures("own_cache")


def run(folder: Path, *overrides: str, resume: bool = False) -> Path:
    return train_in(folder, *SMALL, *overrides, resume=resume)


@pytest.fixture(scope="module")
def finished(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"))


def test_a_run_leaves_what_it_promises(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    for side in ("train", "val", "test"):
        for score in ("accuracy", "precision", "sensitivity", "specificity", "f1", "auroc"):
            assert 0 <= metrics[side][score] <= 1
            assert set(metrics[side]["per_class"]) == {"normal", "all"}
        assert np.sum(metrics[side]["confusion_matrix"]) == metrics[side]["cells"]
    assert set(metrics["floors"]) == {"majority", "cell_area", "linear_probe"}
    assert "too few patients" in metrics["test"]["uncertainty"]["warning"]
    for name in ("config.yaml", "cells.csv", "excluded.csv", "history.csv", "floors.csv"):
        assert (finished / name).is_file()
    assert metrics["headline"]["precision"] == {
        "value": metrics["test"]["precision"],
        "interval": None,
    }
    assert len(pd.read_csv(finished / "history.csv")) == 3


def test_predictions_agree_with_the_metrics(finished: Path) -> None:
    predictions = pd.read_csv(finished / "predictions.csv", dtype={"patient": str})
    metrics = json.loads((finished / "metrics.json").read_text())
    known = ["path", "name", "pixels_sha256", "patient", "group", "part"]
    said = ["fold", "label", "predicted", "prob_normal", "prob_all"]
    assert list(predictions) == [*known, *said]
    right = (predictions["label"] == predictions["predicted"]).mean()
    assert right == pytest.approx(metrics["test"]["accuracy"])
    np.testing.assert_allclose(predictions[["prob_normal", "prob_all"]].sum(axis=1), 1)


def test_no_patient_is_on_two_sides(finished: Path) -> None:
    cells = pd.read_csv(finished / "cells.csv")
    predictions = pd.read_csv(finished / "folds" / "fold_0-predictions.csv")
    patient = predictions["name"].map(cells.set_index("name")["patient"])
    assert patient.tolist() == predictions["patient"].tolist()
    sides = predictions.groupby(patient)["side"].nunique()
    assert len(sides) == 8
    assert (sides == 1).all()


def test_the_same_command_gives_the_same_metrics(finished: Path, tmp_path: Path) -> None:
    again = run(tmp_path)
    assert (again / "metrics.json").read_text() == (finished / "metrics.json").read_text()


def test_a_killed_run_resumes_to_the_result_of_an_unbroken_one(
    finished: Path, tmp_path: Path
) -> None:
    original, steps = Classifier.training_step, []

    def killed(self: Classifier, batch: dict, index: int):
        steps.append(index)
        if self.current_epoch == 1 and index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "training_step", killed)
        with pytest.raises(Stopped) as stopped, stoppable():
            run(tmp_path)
    assert stopped.value.code == 143
    assert steps
    assert not (tmp_path / "metrics.json").exists()
    run(tmp_path, resume=True)
    for name in ("metrics.json", "history.csv", "predictions.csv"):
        assert (tmp_path / name).read_text() == (finished / name).read_text()


def test_two_trainings_never_work_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oadls.training.HANDOVER", 0)
    with (
        working_in(tmp_path),
        pytest.raises(UserError, match="another process trains in this folder"),
    ):
        run(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {".lock"}


def test_resuming_with_other_settings_is_refused(finished: Path) -> None:
    with pytest.raises(UserError, match="other settings of \\['seed', 'split_seed'\\]"):
        run(finished, "seed=5", resume=True)


def test_a_checkpoint_alone_gives_the_metrics_again(finished: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.ckpt"
    shutil.copy(finished / "checkpoints" / "fold_0.ckpt", moved)
    before = json.loads((finished / "metrics.json").read_text())
    after = evaluate(
        composed("evaluate", f"checkpoint={moved}", "report=false"), tmp_path / "again"
    )
    for side in ("train", "val", "test"):
        assert after[side] == before[side]


def test_a_checkpoint_never_tests_patients_that_it_was_trained_on(
    finished: Path, tmp_path: Path
) -> None:
    (card,) = load_cards(str(finished)).values()
    cfg = composed(
        "evaluate",
        f"checkpoint={finished}",
        "report=false",
        "data=synthetic",
        "data.patients=10",
        "data.cells_per_patient=3",
    )
    evaluate(cfg, tmp_path)
    tested = set(pd.read_csv(tmp_path / "predictions.csv")["patient"])
    everybody = pd.DataFrame({"source": "synthetic", "patient": [f"S{k:02d}" for k in range(10)]})
    marks = patient_marks(everybody, salt=card["seen"]["salt"])
    trained = set(everybody["patient"][marks.isin(card["seen"]["patients"])])
    assert len(trained) == 6 == len(card["seen"]["patients"])
    assert tested == {f"S{k:02d}" for k in range(10)} - trained


def test_every_patient_of_a_seen_cell_is_seen_with_all_who_share_an_image() -> None:
    table = pd.DataFrame(
        {
            "pixels_sha256": [f"{k}" * 64 for k in range(5)],
            "source": "c_nmc",
            "patient": ["51", "51", "78", "2", None],
            "group": ["51+78", "51+78", "51+78", "2", "alone"],
        }
    )
    marks = patient_marks(table, salt="salt")
    assert marks.isna().tolist() == [False] * 4 + [True]
    for seen in (
        {"images": ["0" * 16], "salt": "salt", "patients": [marks[0]]},
        {"images": ["0" * 16], "patients": ["c_nmc:51"]},  # of before, in clear
        {"images": [], "salt": "salt", "patients": [marks[2]]},
    ):
        assert seen_by({"seen": seen}, table).tolist() == [True, True, True, False, False]


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint at"):
        load_cards(str(tmp_path))
    (tmp_path / "model.ckpt").write_text("nothing")
    with pytest.raises(UserError, match=r"model\.ckpt is no file of PyTorch"):
        load_cards(str(tmp_path / "model.ckpt"))


def test_fine_tuning_is_the_same_path(tmp_path: Path) -> None:
    folder = run(
        tmp_path,
        "model.backbone.train_last=all",
        "model/head=linear_probe",
        "model.backbone.size=64",
        "training.epochs=1",
        "floors=false",
    )
    assert json.loads((folder / "metrics.json").read_text())["test"]["cells"] > 0


def test_a_run_with_test_false_predicts_no_test_cell(tmp_path: Path) -> None:
    folder = run(tmp_path, "test=false")
    sides = pd.read_csv(folder / "folds" / "fold_0-predictions.csv")["side"]
    assert set(sides) == {"val"}
    for name in ("metrics.json", "predictions.csv", "checkpoints"):
        assert not (folder / name).exists()


def test_training_ends_with_the_first_epoch_that_none_can_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = iter([fitness(0.9, 0.9), fitness(0.99994, 1.0), fitness(1.0, 1.0)])
    monkeypatch.setattr("oadls.model.classifier.fitness", lambda precision, f1: next(reached))
    folder = run(tmp_path, "test=false", "training.epochs=5")
    history = pd.read_csv(folder / "folds" / "fold_0-history.csv")
    assert len(history) == 3
    assert history["val/fitness"].is_monotonic_increasing
