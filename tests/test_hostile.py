"""Every command that opens what somebody sent: a run's folder, a checkpoint, weights, a study.

Each is made to run code if it can (it makes a folder); every command ends with one sentence, and
nothing was run.
"""

import base64
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from oadls import cost
from oadls.compare import compare
from oadls.errors import UserError
from oadls.evaluate import evaluate
from oadls.experiment import build
from oadls.report import __main__ as report
from oadls.settings import plain
from oadls.sweep import __main__ as sweep
from tests.runs import composed, train_in

SMALL = (
    "data.patients=8",
    "data.cells_per_patient=2",
    "model/head=linear_probe",
    "model.backbone.size=64",
    "training.epochs=1",
    "training.views=1",
    "training.test_views=1",
    "split.val=0.25",
    "floors=false",
    "report=false",
    "trainer.precision=32-true",
)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def finished(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in(tmp_path_factory.mktemp("finished"), *SMALL)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to be made hostile."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def owned(tmp_path: Path):
    """The folder that is made where code was run; it must not be there in the end."""
    place = tmp_path / "owned"
    yield place
    assert not place.exists()


class Bomb:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def called(owned: Path) -> dict[str, Any]:
    return {"_target_": "os.mkdir", "path": str(owned)}


def loading(owned: Path) -> dict[str, Any]:
    """What the list of packages that was here before let pass."""
    url = "data:application/octet-stream;base64,"
    url += base64.b64encode(pickle.dumps(Bomb(owned))).decode()
    return {
        "_target_": "pytorch_lightning.LightningModule.load_from_checkpoint",
        "checkpoint_path": url,
        "weights_only": False,
    }


def put(settings: dict[str, Any], place: str, value: Any) -> None:
    *path, last = place.split(".")
    for step in path:
        settings = settings[step]
    settings[last] = value


def change_config(run: Path, place: str, value: Any) -> None:
    settings = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))
    put(settings, place, value)
    OmegaConf.save(OmegaConf.create(settings), run / "config.yaml")


def change_checkpoints(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    for file in run.glob("checkpoints/*.ckpt"):
        saved = torch.load(file, weights_only=True)
        change(saved)
        torch.save(saved, file)


def opened_by(command: str, run: Path, good: Path, capsys: pytest.CaptureFixture) -> str:
    """The one sentence with which a command refuses a run's folder."""
    more = {"data=synthetic", "data.patients=4"} if command == "evaluate_others" else set()
    if command == "resume":
        shutil.rmtree(run / "folds")  # else nothing of it is trained
    try:
        match command:
            case "evaluate" | "evaluate_others":
                asked = composed("evaluate", f"checkpoint={run}", "report=false", *sorted(more))
                evaluate(asked, run.parent / "again")
                return ""
            case "resume":
                train_in(run, *SMALL, resume=True)
                return ""
            case "report":
                status = report.main([f"run={run}"])
            case "against":
                status = report.main([f"run={good}", f"against={run}"])
            case "cost":
                status = cost.main([f"folder={run}"])
    except (UserError, InstantiationException) as error:
        return str(error)
    told = capsys.readouterr().err
    assert (status, told.startswith("oadls: ")) == (1, True)
    return told


def test_what_is_planted_here_would_run(tmp_path: Path) -> None:
    build(DictConfig(called(tmp_path / "called")))
    with pytest.raises(RuntimeError, match="magic number"):  # no checkpoint, but unpickled
        build(DictConfig(loading(tmp_path / "loaded")))
    assert (tmp_path / "called").is_dir()
    assert (tmp_path / "loaded").is_dir()


PLANTS = [("data.source", loading), ("optimizer", called), ("trainer.callbacks", called)]


@pytest.mark.parametrize("command", ["report", "against", "cost", "resume"])
@pytest.mark.parametrize(("place", "plant"), PLANTS)
def test_a_hostile_config_runs_in_no_command(
    command: str, place: str, plant, run: Path, finished: Path, owned: Path, capsys
) -> None:
    change_config(run, place, [plant(owned)] if place.endswith("s") else plant(owned))
    told = opened_by(command, run, finished, capsys)
    if command == "resume":  # goes on with what the user composes; the trainer may be another
        assert "other settings" in told or place == "trainer.callbacks"
    else:
        assert "would run" in told
        assert place in told


@pytest.mark.parametrize("command", ["report", "cost", "resume"])
@pytest.mark.parametrize("text", ["", "seed: [\n", "a: !!python/object/apply:os.mkdir ['{}']\n"])
def test_a_config_that_is_none_is_named(
    command: str, text: str, run: Path, finished: Path, owned: Path, capsys
) -> None:
    (run / "config.yaml").write_text(text.format(owned))
    assert str(run / "config.yaml") in opened_by(command, run, finished, capsys)


@pytest.mark.parametrize("command", ["evaluate", "evaluate_others", "cost", "resume"])
@pytest.mark.parametrize(("place", "plant"), PLANTS)
def test_a_hostile_config_of_a_checkpoint_runs_in_no_command(
    command: str, place: str, plant, run: Path, finished: Path, owned: Path, capsys
) -> None:
    change_checkpoints(run, lambda saved: put(saved["oadls"]["config"], place, plant(owned)))
    told = opened_by(command, run, finished, capsys)
    assert "would run" in told
    assert place in told


@pytest.mark.parametrize("command", ["evaluate", "evaluate_others", "cost", "resume"])
@pytest.mark.parametrize("kind", ["code", "half", "empty", "flipped"])
def test_a_checkpoint_that_is_none_is_named(
    command: str, kind: str, run: Path, finished: Path, owned: Path, capsys
) -> None:
    if kind == "code":
        change_checkpoints(run, lambda saved: saved.update(callbacks={"x": Bomb(owned)}))
    for file in run.glob("checkpoints/*.ckpt"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= kind == "flipped"
        file.write_bytes({"half": content[: len(content) // 2], "empty": b""}.get(kind, content))
    told = opened_by(command, run, finished, capsys)
    assert str(run / "checkpoints") in told


@pytest.mark.parametrize("command", ["evaluate", "cost"])
def test_hostile_weights_run_in_no_command(
    command: str, run: Path, finished: Path, owned: Path, capsys
) -> None:
    torch.save({"model": Bomb(owned)}, run / "weights.pth")
    place, path = "model.backbone.weights", str(run / "weights.pth")
    change_config(run, place, path)
    change_checkpoints(run, lambda saved: put(saved["oadls"]["config"], place, path))
    assert "could run code" in opened_by(command, run, finished, capsys)


def test_a_hostile_setting_that_validation_chose_is_refused(run, finished, owned, capsys) -> None:
    (facts,) = run.glob("folds/*.json")
    tuned = f"optimizer={{_target_: os.mkdir, path: '{owned}'}}"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"tuned": tuned.replace(" ", "")}))
    assert str(run) in opened_by("cost", run, finished, capsys)


def test_a_pickled_fit_is_opened_by_no_command(run: Path, finished: Path, owned, capsys) -> None:
    for file in run.glob("checkpoints/*"):
        file.unlink()
    (run / "checkpoints" / "fold_0.joblib").write_bytes(pickle.dumps(Bomb(owned)))
    assert "is a pickle" in opened_by("cost", run, finished, capsys)
    assert "no checkpoint" in opened_by("evaluate", run, finished, capsys)


def test_a_table_is_made_of_no_hostile_row(tmp_path: Path, run: Path, owned: Path) -> None:
    change_config(run, "data.source", loading(owned))
    row = tmp_path / "table" / "linear_probe"
    shutil.copytree(run, row)
    asked = {"cells": "synthetic", "rows": "[linear_probe]", "folder": str(row.parent)}
    with pytest.raises(UserError, match=r"data\.source\._target_ was .*load_from_checkpoint"):
        compare(asked)


@pytest.fixture
def swept(finished: Path, tmp_path: Path) -> Path:
    """The folder of a sweep of one trial."""
    folder = tmp_path / "swept"
    shutil.copytree(finished, folder / "trial-0")
    facts = {
        "study": "x",
        "storage": f"sqlite:///{folder}/study.db",
        "searched": ["optimizer.lr"],
        "choices": {"experiment": "quickstart", "split": "grouped_holdout"},
        "overrides": ["training.epochs=1"],
        "defaults": OmegaConf.to_container(OmegaConf.load(finished / "config.yaml")),
    }
    OmegaConf.save(OmegaConf.create(facts), folder / "sweep.yaml")
    study = optuna.create_study(study_name="x", storage=facts["storage"], direction="maximize")
    study.add_trial(trial({"optimizer.lr": 0.1}))
    return folder


def trial(params: dict[str, Any]) -> optuna.trial.FrozenTrial:
    spaces: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(0, 1)
        if isinstance(value, float)
        else optuna.distributions.CategoricalDistribution([value])
        for name, value in params.items()
    }
    return optuna.trial.create_trial(params=params, distributions=spaces, value=0.9)


def concluded(folder: Path, capsys: pytest.CaptureFixture, *more: str) -> str:
    """The one sentence of python -m oadls.sweep; empty where it has none."""
    status = sweep.main([f"folder={folder}", *more])
    told = capsys.readouterr().err
    assert status == int(told.startswith("oadls: ")), told
    return told


def change_sweep(folder: Path, place: str, value: Any) -> None:
    facts = OmegaConf.to_container(OmegaConf.load(folder / "sweep.yaml"))
    put(facts, place, value)
    OmegaConf.save(OmegaConf.create(facts), folder / "sweep.yaml")


def test_a_sweep_that_is_well_is_concluded(swept: Path, capsys) -> None:
    assert concluded(swept, capsys, "seeds=0") == ""
    ready = OmegaConf.load(swept / "experiment" / "synthetic_tuned.yaml")
    assert ready.optimizer.lr == 0.1


@pytest.mark.parametrize(("place", "plant"), PLANTS)
def test_the_configs_of_a_hostile_sweep_run_in_no_command(
    place: str, plant, swept: Path, owned: Path, capsys
) -> None:
    planted = [plant(owned)] if place.endswith("s") else plant(owned)
    change_config(swept / "trial-0", place, planted)
    assert "would run" in concluded(swept, capsys, "seeds=1")
    change_sweep(swept, f"defaults.{place}", planted)
    assert "would run" in concluded(swept, capsys, "seeds=0")


@pytest.mark.parametrize(
    "params",
    [
        {"data.source._target_": "os.mkdir", "optimizer.lr": 0.1},
        {"optimizer.lr": "{_target_:os.mkdir,path:x}"},
        {"optimizer.lr": "${oc.create:'{_target_: os.mkdir}'}"},
    ],
)
def test_a_hostile_study_writes_no_experiment(params, swept: Path, owned, capsys) -> None:
    storage = f"sqlite:///{swept}/study.db"
    optuna.delete_study(study_name="x", storage=storage)
    study = optuna.create_study(study_name="x", storage=storage, direction="maximize")
    study.add_trial(trial(params))
    assert concluded(swept, capsys, "seeds=0")
    assert not list(swept.glob("experiment/*"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("choices", {"experiment": "evil", "split": "grouped_holdout"}),
        ("choices", {"experiment": "../evil", "split": "grouped_holdout"}),
        ("choices", {"split": "grouped_holdout\nhydra: {}"}),
        ("choices", {"hydra/launcher": "evil", "split": "grouped_holdout"}),
        ("defaults.outer_folds", ["0/../../x"]),
        ("defaults.name", "../../x"),
        ("overrides", ["data.root=${oc.env:HOME}"]),
        ("storage", "sqlite:////etc/hostname"),
        ("storage", "postgresql+psycopg://elsewhere.invalid/x"),
        ("storage", "mysql+pymysql://elsewhere.invalid/x?local_infile=1"),
        ("storage", "sqlite:///file:elsewhere.db?uri=true&mode=rwc"),
    ],
)
def test_a_hostile_sweep_leads_nowhere_else(place, value, swept: Path, capsys) -> None:
    (swept / "experiment").mkdir()
    (swept / "experiment" / "evil.yaml").write_text("data: {source: {_target_: os.mkdir}}\n")
    before = sorted(swept.parent.rglob("*"))
    change_sweep(swept, place, value)
    assert str(swept) in concluded(swept, capsys, "seeds=0")
    assert sorted(swept.parent.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"nothing", b"SQLite format 3\0" + bytes(100)])
def test_a_database_that_is_none_is_named(content: bytes, swept: Path, capsys) -> None:
    (swept / "study.db").write_bytes(content)
    assert "sweep: " in concluded(swept, capsys, "seeds=0")


def test_a_class_of_the_users_own_is_opened_where_it_is_named(run: Path, capsys) -> None:
    own = f"{__name__}.Own"
    change_config(run, "optimizer", {"_target_": own, "_partial_": True, "lr": 0.1})
    for trusted in ([], ["trust=[another.Own]"]):
        assert cost.main([f"folder={run}", *trusted]) == 1
        assert f"trust=[{own}]" in capsys.readouterr().err
    assert cost.main([f"folder={run}", f"trust=[{own}]"]) == 0


class Own(torch.optim.SGD):
    """An optimizer of the user's."""

    def __init__(self, params: Any, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)


def test_a_run_with_a_class_of_the_users_own_is_trained_and_gone_on_with(tmp_path: Path) -> None:
    own = [*SMALL, f"optimizer._target_={__name__}.Own", "~optimizer.rho", "~optimizer.delta"]
    own += ["~optimizer.momentum", "~optimizer.centered"]
    train_in(tmp_path, *own)
    shutil.rmtree(tmp_path / "folds")
    train_in(tmp_path, *own, resume=True)
    assert plain(read_own(tmp_path))["optimizer"]["_target_"] == f"{__name__}.Own"


def read_own(run: Path) -> DictConfig:
    from oadls.trust import read_config, trusting

    with trusting([f"{__name__}.Own"]):
        return read_config(run / "config.yaml")
