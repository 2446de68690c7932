"""A checkpoint or a fit is opened whole or not at all, and nothing in it is run."""

import copy
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from oadls.baselines import keep
from oadls.baselines.choice import ForestChoice
from oadls.baselines.keep import find_estimators, read_estimator, write_estimator
from oadls.errors import UserError
from oadls.model.weight_file import read_weights
from oadls.training import check_resumable
from oadls.trust import NEEDED, OF_NETWORKS, read_checkpoint, trusting

CARD: dict[str, Any] = {
    "config": {
        **dict.fromkeys((*NEEDED, *OF_NETWORKS)),
        "name": "x",
        "optimizer": {"_target_": "torch.optim.RMSprop", "lr": 0.1},
    },
    "classes": ["normal", "all"],
    "split": "fold_0",
    "seen": {"images": ["0" * 16], "salt": "s", "patients": ["1" * 32]},
}


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def content(**more: Any) -> dict[str, Any]:
    weights = torch.randn(64, generator=torch.Generator().manual_seed(0))
    return {"state_dict": {"w": weights}, "oadls": copy.deepcopy(CARD), **more}


def written(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


WHOLE = written(content())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def refused(file: Path, why: str) -> None:
    """One sentence that names the file."""
    with pytest.raises(UserError, match=why) as told:
        read_checkpoint(file)
    assert str(file) in str(told.value)
    assert "\n" not in str(told.value)


@settings(max_examples=400)
@given(bit=st.integers(0, 8 * len(WHOLE) - 1))
def test_a_flipped_bit_is_found_or_changes_nothing(place, bit) -> None:
    changed = bytearray(WHOLE)
    changed[bit // 8] ^= 1 << bit % 8
    (place / "flipped.ckpt").write_bytes(changed)
    try:
        found = read_checkpoint(place / "flipped.ckpt")
    except UserError:
        return
    assert torch.equal(found["state_dict"]["w"], content()["state_dict"]["w"])
    assert found["oadls"] == CARD


def test_each_bit_of_the_weights_is_looked_at(place) -> None:
    weights = content()["state_dict"]["w"].numpy().tobytes()
    start = WHOLE.index(weights)
    for byte in range(start, start + len(weights), 17):
        changed = bytearray(WHOLE)
        changed[byte] ^= 1 << byte % 8
        (place / "flipped.ckpt").write_bytes(changed)
        loaded = torch.load(place / "flipped.ckpt", weights_only=True)["state_dict"]["w"]
        assert not torch.equal(loaded, content()["state_dict"]["w"])  # PyTorch says nothing
        refused(place / "flipped.ckpt", "cut off or changed since it was written .Bad CRC-32")


@given(end=st.integers(1, len(WHOLE) - 1))
def test_a_part_of_a_checkpoint_is_refused(place, end) -> None:
    (place / "half.ckpt").write_bytes(WHOLE[:end])
    refused(place / "half.ckpt", "cut off or changed|is no file of PyTorch")


def test_what_is_no_checkpoint_is_named(place) -> None:
    for name, data, why in (
        ("empty", b"", "is empty"),
        ("text", b"nothing\n", "is no file of PyTorch"),
        ("pickle", pickle.dumps({"oadls": CARD}), "is no file of PyTorch"),
        ("weights", written({"w": torch.ones(2)}), "was not written by oadls"),
        ("list", written([1, 2]), "was not written by oadls"),
    ):
        (place / name).write_bytes(data)
        refused(place / name, why)
    with zipfile.ZipFile(place / "zip", "w") as file:
        file.writestr("a", "b")
    refused(place / "zip", "was not written by oadls")
    refused(place, "is a folder")
    refused(place / "none", "is not there")


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("config", "optimizer", "_target_"), "os.system", "optimizer would run os.system"),
        (("config", "name"), "${oc.env:HOME}", "is not followed"),
        (("config",), {"name": "x"}, "was not written by oadls"),
        (("config",), [1], "was not written by oadls"),
        (("split",), "../../fold_0", "was not written by oadls"),
        (("split",), 3, "was not written by oadls"),
        (("classes",), [1, 2], "was not written by oadls"),
        (("seen",), {}, "was not written by oadls"),
        (("sides",), {"train": ["0" * 16]}, "was not written by oadls"),  # no data_fingerprint
        (("sides",), ["train"], "was not written by oadls"),
        (("seen", "patients"), [torch.ones(1)], "was not written by oadls"),
    ],
)
def test_a_card_that_says_anything_else_is_refused(place, path, value, why) -> None:
    hostile = content()
    node = hostile["oadls"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    (place / "card.ckpt").write_bytes(written(hostile))
    refused(place / "card.ckpt", why)


def test_nothing_in_a_checkpoint_is_run(place) -> None:
    owned = place / "owned"
    for number, hostile in enumerate(
        (
            {"state_dict": {"w": Bomb(owned)}, "oadls": CARD},
            content(callbacks={"x": Bomb(owned)}),
            {**content(), "oadls": {**CARD, "config": Bomb(owned)}},
        )
    ):
        file = place / f"bomb-{number}.ckpt"
        file.write_bytes(written(hostile))
        refused(file, "was not written by oadls")
        with pytest.raises(UserError, match="could run code"):
            read_weights(file)
    assert not owned.exists()


@pytest.mark.parametrize("key", ["best_model_path", "kth_best_model_path", "best_k_models"])
@pytest.mark.parametrize(
    "path", ["/run/checkpoints/../../home/x", "/home/x", "s3://bucket/x", "/run/checkpoints/a/x"]
)
def test_a_run_goes_on_from_no_checkpoint_that_names_files_elsewhere(place, key, path) -> None:
    state = {"dirpath": "/run/checkpoints", "best_model_path": "/run/checkpoints/fold_0.ckpt"}
    file = place / "last.ckpt"
    file.write_bytes(written(content(callbacks={"ModelCheckpoint": state})))
    check_resumable(file, like=DictConfig({}))
    state[key] = {path: torch.ones(())} if key == "best_k_models" else path
    file.write_bytes(written(content(callbacks={"ModelCheckpoint": state})))
    with pytest.raises(UserError, match="names a file elsewhere"):
        check_resumable(file, like=DictConfig({}))


X, Y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2


def kept(model: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An estimator in a file that another process wrote."""
    write_estimator(model, file)
    monkeypatch.setattr(keep, "_written", set())
    return file


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (KNeighborsClassifier().fit(X, Y), "KNeighborsClassifier"),
        (make_pipeline(FunctionTransformer(os.mkdir), LogisticRegression()), "mkdir"),
        (make_pipeline(LogisticRegression(C=np.sqrt)), r"numpy\.sqrt"),
    ],
)
def test_an_estimator_is_made_of_what_ours_are(tmp_path, monkeypatch, model, named) -> None:
    file = kept(model, tmp_path / "fold_0.skops", monkeypatch)
    with pytest.raises(UserError, match=named) as told:
        read_estimator(file)
    assert str(file) in str(told.value)


def test_what_an_estimator_is_made_of_is_built_as_values_alone(tmp_path, monkeypatch) -> None:
    file = kept(LogisticRegression().fit(X, Y), tmp_path / "fold_0.skops", monkeypatch)
    with zipfile.ZipFile(file) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    hidden = contents["schema.json"].replace(b'"JsonNode"', b'"MethodNode"', 1)
    assert hidden != contents["schema.json"]  # a text by its class, a method by how it is built
    with zipfile.ZipFile(file, "w") as parts:
        for name, data in (contents | {"schema.json": hidden}).items():
            parts.writestr(name, data)
    with pytest.raises(UserError, match="holds MethodNode"):
        read_estimator(file)


def test_an_estimator_of_the_user_is_opened_by_name(tmp_path, monkeypatch) -> None:
    model = KNeighborsClassifier().fit(X, Y)
    file = tmp_path / "fold_0.skops"
    write_estimator(model, file)
    assert (read_estimator(file).predict(X) == model.predict(X)).all()  # this process made it
    names = skops.io.get_untrusted_types(file=file)
    monkeypatch.setattr(keep, "_written", set())
    with trusting(["sklearn.neighbors._classification.KNeighborsClassifier", *names]):
        assert (read_estimator(file).predict(X) == model.predict(X)).all()


def test_files_that_hold_no_estimator_are_named(tmp_path, monkeypatch) -> None:
    model = make_pipeline(LogisticRegression()).fit(X, Y)
    file = kept(model, tmp_path / "fold_0.skops", monkeypatch)
    whole = file.read_bytes()
    coefficients = model[-1].coef_.tobytes()
    flipped = bytearray(whole)
    flipped[whole.index(coefficients)] ^= 1
    with zipfile.ZipFile(tmp_path / "zip", "w") as other:
        other.writestr("schema.json", json.dumps({"__class__": "str", "__module__": "builtins"}))
    bomb = pickle.dumps(Bomb(tmp_path / "owned"))
    nothing = (tmp_path / "zip").read_bytes()
    for content in (bytes(flipped), whole[: len(whole) // 2], b"", bomb, nothing):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"checkpoint: .*fold_0\.skops"):
            read_estimator(file)
    assert not (tmp_path / "owned").exists()


def test_a_pickle_of_before_is_never_opened(tmp_path) -> None:
    old = tmp_path / "fold_0.joblib"
    old.write_bytes(pickle.dumps(Bomb(tmp_path / "owned")))
    for opened in (lambda: read_estimator(old), lambda: find_estimators(tmp_path)):
        with pytest.raises(UserError, match=r"is a pickle, which could run code.*train the run"):
            opened()
    assert not (tmp_path / "owned").exists()


def test_a_choice_of_features_is_scikit_learns() -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_selection import SelectFromModel

    rng = np.random.default_rng(1)
    numbers = rng.normal(np.arange(80)[:, None] % 2 * np.linspace(0, 1, 20), 1, (80, 20))
    for keeps in (1, 7, 20, 99):
        forest = RandomForestClassifier(30, random_state=3)
        most = min(keeps, 20)
        theirs = SelectFromModel(forest, threshold=-np.inf, max_features=most)
        ours = ForestChoice(keep=keeps, trees=30, seed=3)
        wanted = theirs.fit_transform(numbers, np.arange(80) % 2)
        assert np.array_equal(ours.fit_transform(numbers, np.arange(80) % 2), wanted)
