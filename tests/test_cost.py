"""What a row costs is counted as by hand, and measured on what the run has left behind."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn

from oadls.baselines.inputs import Pooled
from oadls.baselines.keep import write_estimator
from oadls.cost import measure_run, seconds_a_cell, training_seconds
from oadls.errors import UserError
from oadls.experiment import Experiment
from oadls.fitted import Fitted, fitted_of
from oadls.size import multiply_adds, numbers_held, parameters
from tests.runs import train_in

SMALL = (
    "data.patients=8",
    "data.cells_per_patient=3",
    "model.backbone.size=96",
    "training.epochs=1",
    "training.views=1",
    "training.test_views=2",
    "split.val=0.25",
    "floors=false",
    "report=false",
)


class Small(nn.Module):
    """A convolution, a Bi-GRU, a GRU cell, attention in torch's fused form, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1, groups=1, bias=False)
        self.gru = nn.GRU(4, 5, batch_first=True, bidirectional=True)
        self.cell = nn.GRUCell(10, 6)
        self.linear = nn.Linear(6, 2).requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.convolution(images).mean(dim=2).transpose(1, 2)  # (B, W, 4)
        states, _ = self.gru(rows)  # (B, W, 10)
        seen = nn.functional.scaled_dot_product_attention(states, states, states)
        return self.linear(self.cell(seen[:, 0], torch.zeros(len(images), 6)))


def test_multiply_adds_are_those_counted_by_hand() -> None:
    side = 8
    convolution = side * side * 4 * (3 * 3 * 3)
    gru = 2 * side * 3 * 5 * (4 + 5)  # directions, steps, three gates
    attention = 2 * side * side * 10  # scores, weighted means
    cell, linear = 3 * 6 * (10 + 6), 6 * 2
    assert multiply_adds(Small(), side) == convolution + gru + attention + cell + linear


def test_parameters_are_those_counted_by_hand() -> None:
    gru, cell = 2 * 3 * 5 * (4 + 5 + 2), 3 * 6 * (10 + 6 + 2)  # two offsets a unit
    trained = 3 * 4 * 9 + gru + cell
    assert parameters(Small()) == {"parameters": trained + 14, "trained": trained}


def drawn(features: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    return rng.normal(labels[:, None], 1.5, (60, features)), labels


def test_an_estimator_holds_what_its_decision_reads() -> None:
    X, y = drawn(12)
    forest = RandomForestClassifier(5, random_state=0)
    choice = SelectFromModel(forest, threshold=-np.inf, max_features=4)
    model = make_pipeline(StandardScaler(), choice, SVC()).fit(X, y)
    vectors = len(model[-1].support_)
    assert numbers_held(model) == 2 * 12 + 4 + vectors * 4 + vectors + 1
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert numbers_held(linear) == 2 * 12 + 12 + 1


def test_a_model_of_an_unknown_kind_is_not_counted_wrongly() -> None:
    with pytest.raises(UserError, match="KNeighborsClassifier"):
        numbers_held(KNeighborsClassifier().fit(*drawn(3)))


def test_seconds_are_those_that_pass() -> None:
    def slow(seconds: float, result: object) -> object:
        time.sleep(seconds)
        return result

    fitted = Fitted({}, lambda keys: slow(0.01 * len(keys), keys), lambda f: slow(0.02, f), 1, 1)
    look, decide = seconds_a_cell(fitted, list("abcd"))
    assert look == pytest.approx(0.01, rel=0.5)
    assert decide == pytest.approx(0.005, rel=0.5)


def test_training_counts_every_fold_and_the_features_it_finds_ready(tmp_path: Path) -> None:
    (tmp_path / "folds").mkdir()
    for fold, (seconds, cells) in enumerate([(3.0, 20), (5.0, 30)]):
        file = tmp_path / "folds" / f"fold_{fold}.json"
        facts = {"fold": fold, "fitness": 1.0, "checkpoint": "none"}
        file.write_text(json.dumps({**facts, "seconds": seconds}))
        sides = pd.DataFrame({"side": ["train"] * cells + ["test"] * 7})
        sides.to_csv(file.with_name(f"fold_{fold}-predictions.csv"), index=False)
    assert training_seconds(tmp_path, looking=0.1) == pytest.approx(1000 * (8 + 0.1 * 50) / 50)
    file.write_text(json.dumps({**facts, "seconds": None}))
    assert training_seconds(tmp_path, looking=0.1) is None


@pytest.fixture(scope="module")
def run(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frozen backbone under a linear layer."""
    place = tmp_path_factory.mktemp("run")
    return train_in(place, *SMALL, "model/head=linear_probe", "trainer.precision=32-true")


def test_a_network_that_is_loaded_predicts_as_it_did(run: Path) -> None:
    experiment = Experiment.open(OmegaConf.load(run / "config.yaml"))
    found = pd.read_csv(run / "folds" / "fold_0-predictions.csv")
    with fitted_of(experiment, run) as fitted:
        again = fitted.decide(fitted.look(found["pixels_sha256"].tolist()))
    np.testing.assert_allclose(again, found[["probability_0", "probability_1"]], atol=1e-5)


def test_costs_are_written_beside_the_run(run: Path) -> None:
    found = measure_run(run)
    assert json.loads((run / "cost.json").read_text()) == found
    assert found["trained"] == 2 * 1280 + 2 < found["parameters"]
    assert found["inference_seconds"] > 0
    assert found["cells"] == 24
    with pytest.raises(UserError, match="no finished run"):
        measure_run(run / "folds")


def test_frozen_features_are_those_that_the_estimator_was_given(run: Path, tmp_path: Path) -> None:
    experiment = Experiment.open(OmegaConf.load(run / "config.yaml"))
    inputs, keys = Pooled(experiment), experiment.table["pixels_sha256"].tolist()[:9]
    given = inputs.read()
    (tmp_path / "checkpoints").mkdir()
    model = LogisticRegression().fit(given, experiment.labels)
    write_estimator(model, tmp_path / "checkpoints" / "fold_0.skops")
    stand_in = SimpleNamespace(
        inputs=inputs, config=experiment.config, views=experiment.views, device="cpu"
    )
    with fitted_of(stand_in, tmp_path) as fitted:  # type: ignore[arg-type]
        np.testing.assert_allclose(fitted.look(keys), given[:9], atol=1e-4)
        assert fitted.size["trained"] == 1280 + 1
        assert fitted.size["parameters"] > 1_000_000


def test_handcrafted_numbers_have_no_multiply_adds(tmp_path: Path) -> None:
    X, y = drawn(3)
    (tmp_path / "checkpoints").mkdir()
    write_estimator(LogisticRegression().fit(X, y), tmp_path / "checkpoints" / "fold_0.skops")
    rows = dict(zip("abc", X[:3], strict=True))
    inputs = SimpleNamespace(compute=lambda keys: np.stack([rows[key] for key in keys]))
    config = SimpleNamespace(model=SimpleNamespace(backbone=None))
    with fitted_of(SimpleNamespace(inputs=inputs, config=config), tmp_path) as fitted:  # type: ignore[arg-type]
        assert fitted.size == {"parameters": 4, "trained": 4, "multiply_adds": None}
        assert fitted.decide(fitted.look(["c", "a"])).shape == (2, 2)
    with pytest.raises(UserError, match="no fold_"), fitted_of(None, tmp_path / "none"):  # type: ignore[arg-type]
        pass
