"""Runs in W&B hold what is promised; offline ones are read back with W&B's own reader."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import wandb
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning.callbacks import Callback
from sqlalchemy.engine import make_url

from oadls.errors import UserError
from oadls.model.classifier import Classifier
from oadls.report import sections
from oadls.report.board import PERSONAL, log_artifacts, show_run, summarise
from oadls.report.results import HEADLINE
from oadls.run_folder import RunFolder
from oadls.settings import plain
from oadls.tracking import tracked
from oadls.trust import read_checkpoint
from scripts.wandb_dashboard import dashboard, main, saved, searched
from tests.boards import Board, read_boards
from tests.databases import SECRET
from tests.runs import CONF, composed, train_in

TINY = (
    "logger=wandb",
    "logger.offline=true",
    "data.patients=24",
    "data.cells_per_patient=2",
    "data.window=110",
    "model.backbone.size=64",
    "+model.head.plane.side=32",
    "+model.head.plane.width=8",
    "training.epochs=3",
    "training.batch_size=4",
    "training.views=1",
    "training.test_views=1",
    "trainer.precision=32-true",
)
FOLDS = ("fold_0", "fold_1")

pytestmark = pytest.mark.usefixtures("own_cache", "own_wandb")


@pytest.fixture(scope="module")
def own_wandb(tmp_path_factory: pytest.TempPathFactory):
    """W&B's settings and caches of nobody."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DATA_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def finished(own_cache: None, own_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two networks, with enough patients for intervals, and its report."""
    settings = ("split=grouped_kfold", "split.folds=2", "split.val=0.25")
    named = "logger.patients=true"
    return train_in(tmp_path_factory.mktemp("finished"), *TINY, *settings, named)


@pytest.fixture(scope="module")
def board(finished: Path) -> Board:
    (found,) = read_boards(finished)  # one, although two networks were trained
    return found


@pytest.fixture(scope="module")
def metrics(finished: Path) -> dict:
    return json.loads((finished / "metrics.json").read_text())


@pytest.fixture(scope="module")
def swept(
    own_cache: None, own_wandb: None, server: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a sweep of two trials, on a database whose address has a password."""
    folder = tmp_path_factory.mktemp("multirun") / "sweep"
    command = [sys.executable, "-m", "oadls.train", "-m", "+sweep=rmsprop", *TINY]
    command += [f"hydra.sweep.dir={folder}", "hydra.sweeper.n_trials=2", "training.epochs=1"]
    command += ["hydra.sweeper.storage=${oc.env:STORAGE}"]
    address = make_url(server)._replace(password=SECRET).render_as_string(hide_password=False)
    one = {**os.environ, "OMP_NUM_THREADS": "1", "STORAGE": address}  # one thread, as all tests
    done = subprocess.run(command, capture_output=True, text=True, cwd=CONF.parent, env=one)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def trials(swept: Path) -> list[Board]:
    """The W&B runs of that sweep."""
    return read_boards(swept)


def test_a_command_is_one_run_that_ended_well(board: Board, finished: Path) -> None:
    assert (board.told["state"], board.told["exit_code"]) == ("finished", 0)
    start = board.start
    assert (start["run_group"], start["display_name"]) == ("synthetic", finished.name)
    assert (start["job_type"], start["tags"]) == ("train", ["synthetic"])


def test_sync_takes_the_run(board: Board) -> None:
    command = [sys.executable, "-m", "wandb", "sync", "--dry-run", str(board.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Would sync 1 run(s)" in done.stdout + done.stderr


def test_the_config_is_the_run_s_in_plain_values(board: Board, finished: Path) -> None:
    config = OmegaConf.to_container(OmegaConf.load(finished / "config.yaml"))
    fingerprint = board.told["config"].pop("data_fingerprint")
    assert board.told["config"] == config
    assert fingerprint == json.loads((finished / "metrics.json").read_text())["data_fingerprint"]


def test_every_network_has_its_curves_by_epoch(board: Board, finished: Path) -> None:
    history = pd.read_csv(finished / "history.csv")
    for fold in FOLDS:
        mine = history[history["network"] == fold]
        for name in ("train/loss", "val/fitness", "val/auroc"):
            points = board.curve(f"{fold}/{name}")
            assert [epoch for epoch, _ in points] == [0, 1, 2]
            np.testing.assert_allclose([value for _, value in points], mine[name])
    by_epoch = {m["glob_name"] for m in board.of("metric") if m.get("step_metric") == "epoch"}
    assert by_epoch == {f"{fold}/{side}/*" for fold in FOLDS for side in ("train", "val")}


def test_the_summary_has_scores_with_intervals_and_floors(board: Board, metrics: dict) -> None:
    summary = board.told["summary"]
    assert summary["fitness"] == pytest.approx(
        np.mean([max(value for _, value in board.curve(f"{f}/val/fitness")) for f in FOLDS])
    )
    for name in HEADLINE:
        assert summary[f"test/{name}"] == pytest.approx(metrics["test"][name])
        low, high = metrics["test"]["uncertainty"]["intervals"][name]
        assert summary[f"test/{name}_low"] == pytest.approx(low)
        assert summary[f"test/{name}_high"] == pytest.approx(high)
        for floor, scores in metrics["floors"].items():
            assert summary[f"floors/{floor}/{name}"] == pytest.approx(scores[name])


def test_a_withheld_score_is_no_summary() -> None:
    found = summarise({"withheld": "3 patients", "headline": None, "test": {"precision": 0.9}})
    assert found == {"withheld": "3 patients"}


def test_confusion_matrices_are_those_of_the_metrics(board: Board, metrics: dict) -> None:
    for side in ("val", "test"):
        data = board.table(f"{side}/confusion_matrix_table")["data"]
        counts = {(true, said): n for true, said, n in data}
        classes = metrics["classes"]
        found = [[counts[true, said] for said in classes] for true in classes]
        assert found == metrics[side]["confusion_matrix"]


def test_curves_of_decisions_have_every_class(board: Board, metrics: dict) -> None:
    for side in ("val", "test"):
        for name in ("pr", "roc"):
            table = board.table(f"{side}/{name}_table")
            place = table["columns"].index("class")
            assert {row[place] for row in table["data"]} == set(metrics["classes"])


def test_predictions_are_those_of_the_file(board: Board, finished: Path) -> None:
    table = board.table("test/predictions")
    found = pd.DataFrame(table["data"], columns=table["columns"])
    wanted = pd.read_csv(finished / "predictions.csv", dtype={"patient": str})
    pd.testing.assert_frame_equal(found.drop(columns="name"), wanted[list(found)[1:]])
    assert [Path(path).stem for path in wanted["path"]] == [n.split("/")[-1] for n in found["name"]]


def test_mistakes_come_first_and_have_pictures(board: Board) -> None:
    (logged,) = [a for a in board.of("artifact") if "testcells" in a["name"]]
    waiting = {each["path"]: Path(each["local_path"]) for each in logged["manifest"]["contents"]}
    table = json.loads(waiting["test/cells.table.json"].read_text())
    cells = pd.DataFrame(table["data"], columns=table["columns"])
    assert list(cells)[-3:] == ["picture", "grad_cam", "attention"]
    right = (cells["label"] == cells["predicted"]).tolist()
    assert right == sorted(right)
    assert len(cells) <= 64
    for picture in cells[["picture", "grad_cam", "attention"]].to_numpy().ravel():
        assert Image.open(waiting[picture["path"]]).size == (64, 64)


def test_every_figure_of_the_report_is_there(board: Board, finished: Path) -> None:
    figures = {f"figures/{file.stem}" for file in (finished / "figures").glob("*.png")}
    assert figures
    assert figures == {name for name in board.logged if name.startswith("figures/")}
    for name in figures:
        assert (board.folder / "files" / board.told["summary"][name]["path"]).is_file()


def test_checkpoints_lead_back_to_the_cells(board: Board, metrics: dict, finished: Path) -> None:
    assert set(board.artifacts) == {"synthetic", "synthetic-fold_0", "synthetic-fold_1"}
    cells = board.artifacts["synthetic"]
    assert (cells["type"], cells["metadata"]["cells"]) == ("dataset", 48)
    assert metrics["data_fingerprint"] in cells["aliases"]
    for fold in FOLDS:
        model = board.artifacts[f"synthetic-{fold}"]
        assert (model["type"], set(model["aliases"])) == ("model", {"best", "latest"})
        assert model["metadata"]["data_fingerprint"] == cells["metadata"]["data_fingerprint"]
        (content,) = model["manifest"]["contents"]  # the file itself, not a copy
        assert Path(content["local_path"]) == finished / "checkpoints" / f"{fold}.ckpt"


def test_all_that_waits_for_sync_is_in_the_folder(board: Board, finished: Path) -> None:
    for artifact in board.of("artifact"):
        for content in artifact["manifest"]["contents"]:
            assert Path(content["local_path"]).is_relative_to(finished)
            assert Path(content["local_path"]).is_file()


def test_a_failure_is_noted_at_once_and_gone_on_with(tmp_path: Path) -> None:
    original = Classifier.training_step

    def broken(self: Classifier, batch: dict, index: int):
        if self.current_epoch == 1:
            raise RuntimeError("out of memory")
        return original(self, batch, index)

    settings = (*TINY, "floors=false", "report=false")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "training_step", broken)
        with pytest.raises(RuntimeError, match="out of memory"):
            train_in(tmp_path, *settings)
    (failed,) = read_boards(tmp_path)
    assert (failed.told["state"], failed.told["exit_code"]) == ("failed", 1)
    assert [epoch for epoch, _ in failed.curve("train/loss")] == [0]
    train_in(tmp_path, *settings, resume=True)
    resumed = read_boards(tmp_path)[-1]
    assert resumed.told["run_id"] == failed.told["run_id"]
    assert resumed.told["exit_code"] == 0
    assert [epoch for epoch, _ in resumed.curve("train/loss")] == [1, 2]


def test_what_tune_tries_has_curves_of_its_own(tmp_path: Path) -> None:
    tries = "tune=['optimizer.lr=1e-3','optimizer.lr=1e-4']"
    train_in(tmp_path, *TINY, tries, "training.epochs=1", "floors=false", "report=false")
    (board,) = read_boards(tmp_path)
    assert board.told["exit_code"] == 0
    found = [board.curve(f"tried_{number}/val/fitness") for number in range(2)]
    assert [[epoch for epoch, _ in curve] for curve in found] == [[0], [0]]
    best = max(value for curve in found for _, value in curve)
    assert board.told["summary"]["fitness"] == pytest.approx(best)


class Hopeless(Callback):
    """A judge that has seen enough after one epoch."""

    hopeless = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.hopeless = trainer.should_stop = True


def test_a_pruned_trial_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oadls.sweep.trial.judge_of", lambda config: Hopeless())
    folds = ("split=grouped_kfold", "split.folds=2", "split.val=0.25")
    train_in(tmp_path, *TINY, *folds, "test=false", "+pruner=ours")
    (board,) = read_boards(tmp_path)
    assert board.told["exit_code"] == 0
    assert board.told["summary"]["pruned"] is True
    assert [epoch for epoch, _ in board.curve("fold_0/train/loss")] == [0]
    assert not board.curve("fold_1/train/loss")


def test_a_wrong_setting_of_wandb_is_named(tmp_path: Path) -> None:
    cfg = composed("train", *TINY, "+logger.colour=red")
    with pytest.raises(UserError, match=r"logger: .*colour"), tracked(cfg, tmp_path):
        pass


def test_a_server_that_does_not_answer_loses_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("oadls.tracking.PATIENCE", 0.5)
    cfg = composed("train", *TINY, "logger.offline=false")
    with tracked(cfg, tmp_path) as board:
        assert board is not None
        assert board.offline
        board.log({"epoch": 0})
    assert "W&B: no answer" in caplog.text
    (kept,) = read_boards(tmp_path)
    assert kept.told["exit_code"] == 0


def test_a_wrong_mode_of_wandb_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "off")
    told = r"WANDB_MODE is one of online, offline, .*disabled.* 'off'"
    with pytest.raises(UserError, match=told), tracked(composed("train", *TINY), tmp_path):
        pass


def test_wandb_is_switched_off_without_a_key_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with tracked(composed("train", *TINY), tmp_path) as board:
        assert board is not None
        board.log({"epoch": 0})
    assert not list(tmp_path.rglob("*.wandb"))


def test_other_loggers_start_no_run(tmp_path: Path) -> None:
    with tracked(composed("train"), tmp_path) as board:
        assert board is None
    assert not list(tmp_path.iterdir())


def test_trials_are_runs_of_one_group_and_show_no_test_cell(trials: list[Board]) -> None:
    assert [board.start["display_name"] for board in trials] == ["trial-0", "trial-1"]
    assert {board.start["run_group"] for board in trials} == {"synthetic/sweep"}
    for number, board in enumerate(trials):
        assert board.told["exit_code"] == 0
        assert board.start["job_type"] == "trial"
        assert board.told["config"]["trial"] == number
        assert board.told["summary"]["fitness"] == pytest.approx(board.curve("val/fitness")[0][1])
        assert {"val/confusion_matrix_table", "val/pr_table", "val/roc_table"} <= board.logged
        assert not [name for name in board.logged if "test" in name]
        assert not board.artifacts


def test_no_file_of_a_sweep_has_the_password_of_its_database(swept: Path) -> None:
    files = [file for file in swept.rglob("*") if file.is_file()]
    words = [b"oc.env:STORAGE" in file.read_bytes() for file in files]
    assert any(file.suffix == ".wandb" and has for file, has in zip(files, words, strict=True))
    assert any(file.name == "hydra.yaml" and has for file, has in zip(files, words, strict=True))
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


def test_the_dashboard_shows_only_what_was_logged(board: Board, trials: list[Board]) -> None:
    view = json.loads(saved(dashboard("team", "oadls", searched("rmsprop"))))
    panels = [
        panel
        for section in view["section"]["panelBankConfig"]["sections"]
        for panel in section["panels"]
    ]
    logged = board.logged | trials[0].logged
    settings = pd.json_normalize(trials[0].told["config"]).columns
    shown = {name for panel in panels for name in named(panel)}
    assert len(shown) > 50
    for name in shown:
        section, _, rest = name.partition(":")
        assert rest.replace(".value", "") in settings if section == "config" else name in logged
    for panel in panels:
        if pattern := panel["config"].get("metricRegex"):
            for names in (board.logged, trials[0].logged):
                assert pd.Series(sorted(names)).str.fullmatch(pattern).any(), pattern


@pytest.mark.parametrize("sweep", sorted(file.stem for file in (CONF / "sweep").glob("*.yaml")))
def test_every_sweep_has_a_dashboard(sweep: str) -> None:
    config = composed("train", f"+sweep={sweep}")
    names = searched(sweep)
    assert "optimizer.lr" in names
    for name in names:
        assert OmegaConf.select(config, name) is not None


def named(panel: dict) -> list[str]:
    """Names that a panel refers to; of settings as config:NAME."""
    config, text = panel["config"], json.dumps(panel["config"])
    names = [*config.get("metrics", []), *config.get("mediaKeys", [])]
    names += [column["accessor"] for column in config.get("columns", [])]
    names += [config[key] for key in ("xAxis", "yAxis", "targetKey") if key in config]
    if panel["viewType"] == "Vega2":
        names += [
            arg["value"]
            for query in config["userQuery"]["queryFields"]
            for field in query["fields"]
            for arg in field.get("args", [])
        ]
    if panel["viewType"] == "Weave":
        names += [name for name in ("test/cells", "test/predictions") if f'"{name}"' in text]
        assert len(names) == 1
    return [name.removeprefix("summary:").removeprefix("summary_metrics.") for name in names]


def test_the_dashboard_wants_a_key(capsys: pytest.CaptureFixture, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    assert main(["--entity", "team"]) == 1
    assert "wandb login" in capsys.readouterr().err
    assert main(["--entity", "team", "--sweep", "none", "--print"]) == 1
    assert "there is no" in capsys.readouterr().err


class Noted:
    """In the place of a W&B run: what it was given."""

    offline = True

    def __init__(self) -> None:
        self.logged: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.artifacts: list[Any] = []

    def log(self, values: dict[str, Any]) -> None:
        self.logged |= values

    def log_artifact(self, artifact: Any, aliases: list[str]) -> None:
        self.artifacts.append(artifact)


def texts(noted: Noted) -> str:
    """All words that were given."""
    tables = [t for t in noted.logged.values() if isinstance(t, wandb.Table)]
    told = [json.dumps([table.columns, table.data], default=str) for table in tables]
    for artifact in noted.artifacts:
        told.append(json.dumps(artifact.metadata))
        for entry in artifact.manifest.entries.values():
            file = Path(entry.local_path)
            model = file.suffix == ".ckpt"  # its weights are no words
            told.append(json.dumps(read_checkpoint(file)["oadls"]) if model else file.read_text())
    return "\n".join([*told, json.dumps(noted.summary), *noted.logged])


@pytest.mark.parametrize("asked", [False, True])
def test_names_and_pictures_are_sent_where_they_are_asked_for(
    asked: bool, finished: Path, metrics: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, noted = RunFolder(finished).run(), Noted()
    run.experiment.config.logger = {"patients": asked}
    monkeypatch.setattr("oadls.report.board.pictured_cells", lambda *given: "pictures")
    show_run(cast(wandb.Run, noted), run, metrics)
    table, told = run.table, texts(noted)
    for word in (*table["patient"].unique(), *table["name"]):
        assert (word in told) == asked, word
    assert ("test/cells" in noted.logged) == asked
    personal = {name for name in noted.logged if PERSONAL.fullmatch(name.removeprefix("figures/"))}
    assert bool(personal) == asked
    cells = noted.logged["test/predictions"].get_dataframe()
    if not asked:  # whoever has the run's folder finds each of them
        assert set(cells["cell"]) <= set(table["pixels_sha256"].str[:16])


def test_every_figure_of_cells_or_patients_is_known_as_personal(finished: Path) -> None:
    pages = [file.read_text() for file in Path(sections.__file__).parent.glob("*.py")]
    sheets = {name for text in pages for name in re.findall(r'page\.cells\(\s*f?"([a-z]+)', text)}
    assert len(sheets) > 4
    for name in {*sheets, "patients"}:
        assert PERSONAL.fullmatch(name) or PERSONAL.fullmatch(f"{name}_right")
    shown = {file.stem for file in (finished / "figures").glob("*.png")}
    assert {"confusion_test", "flow"} <= {name for name in shown if not PERSONAL.fullmatch(name)}


@pytest.mark.parametrize("asked", [False, True])
def test_where_the_data_lie_is_sent_where_it_is_asked_for(
    asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data.root=/clinic/JaneDoe", "seed=3"]
    cfg = composed("train", *TINY, *words, f"logger.patients={asked}")
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    with tracked(cfg, tmp_path):
        pass
    (board,) = read_boards(tmp_path)
    told = b"".join(file.read_bytes() for file in board.folder.rglob("*") if file.is_file())
    assert (b"JaneDoe" in told) == asked
    assert b"seed=3" in told
    assert sys.argv[1:] == words
    assert board.told["config"]["data"]["name"] == "synthetic"
    assert board.told["config"]["training"] == plain(cfg)["training"]


def test_a_fit_elsewhere_is_no_artifact(finished: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    run, noted = RunFolder(finished).run(), Noted()
    link = tmp_path / "checkpoints" / "fold_0.ckpt"
    link.parent.mkdir()
    link.symlink_to(secret)
    for place in (secret, link):
        fits = [replace(fit, checkpoint=place) for fit in run.fits]
        log_artifacts(cast(wandb.Run, noted), replace(run, fits=fits, folder=tmp_path))
    assert {artifact.type for artifact in noted.artifacts} == {"dataset"}
