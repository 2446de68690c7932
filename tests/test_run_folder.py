"""A run's folder is read as it was written: cells by their pictures, and nothing half."""

import hashlib
import json
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oadls.cost import measure_run
from oadls.errors import UserError
from oadls.evaluate import evaluate
from oadls.names import printable_lines
from oadls.publish import publish_table
from oadls.report import __main__ as reporting
from oadls.report import page
from oadls.report.ablation import read_runs
from oadls.report.table3 import table_3
from oadls.rows import Row
from oadls.run_folder import RunFolder
from oadls.sweep.confirm import Arm
from oadls.tables import numbers_in, read_table
from tests.runs import composed, train_in

pytestmark = pytest.mark.usefixtures("own_cache")
NETWORK = (
    *("data=folder", "name=cells", "split=grouped_kfold", "split.folds=2", "split.val=0.3"),
    *("model/head=linear_probe", "model/backbone=cnn", "model.backbone.size=32"),
    *("training.epochs=1", "training.views=1", "training.test_views=1"),
    "trainer.precision=32-true",
)
TOLD = ("metrics.json", "predictions.csv", "cells.csv", "floors.csv", "history.csv")


def draw_cell(file: Path, *, seed: int) -> None:
    """A dark nucleus in a pale cell on a light ground, unlike any other seed's."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-32:32, -32:32] + rng.normal(0, 2, (2, 1, 1))
    far = np.hypot(x, y) / rng.uniform(0.8, 1.2)
    image = np.full((64, 64, 3), 225.0)
    image[far < 22] = (190, 160, 200)
    image[far < 14] = (90, 40, 120)
    image += rng.normal(0, 4, image.shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(file)


@pytest.fixture(scope="module")
def first(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cells/ with two classes and run/, of a network trained on them."""
    home = tmp_path_factory.mktemp("first")
    for k in range(16):
        draw_cell(home / "cells" / ("normal", "all")[k % 2] / f"c{k:02}.png", seed=k)
    train_in(home / "run", *NETWORK, f"data.root={home / 'cells'}")
    return home


@pytest.fixture
def home(first: Path, tmp_path: Path) -> Path:
    """A copy of both in the very place that the run knows; the first ones are put back after."""
    shutil.copytree(first, tmp_path / "kept")
    return first


@pytest.fixture(autouse=True)
def put_back(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    yield
    if "home" in request.fixturenames:
        home = request.getfixturevalue("first")
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "kept", home)


def contents(folder: Path) -> dict[str, str]:
    """A hash of every file."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def add(cells: Path) -> None:
    draw_cell(cells / "all" / "AAA.png", seed=99)  # sorts first


def remove(cells: Path) -> None:
    (cells / "all" / "c01.png").unlink()


def relabel(cells: Path) -> None:
    (cells / "all" / "c01.png").rename(cells / "normal" / "c01.png")


def replace(cells: Path) -> None:
    draw_cell(cells / "all" / "c01.png", seed=99)


CHANGES = {
    add: r"1 cell was added \(all/AAA\)",
    remove: r"1 cell was removed \(all/c01\)",
    relabel: r"1 cell has another label \(normal/c01\)",
    replace: r"1 cell has another picture \(all/c01\)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_does_not_go_on_with_other_cells(home: Path, change) -> None:
    change(home / "cells")
    before = contents(home / "run")
    with pytest.raises(UserError, match=f"began: {CHANGES[change]}"):
        train_in(home / "run", *NETWORK, f"data.root={home / 'cells'}", resume=True)
    after = contents(home / "run")
    assert {**after, "config.yaml": ""} == {**before, "config.yaml": ""}


@pytest.mark.parametrize("change", CHANGES)
def test_an_evaluation_deals_no_cell_anew(home: Path, change, tmp_path: Path) -> None:
    change(home / "cells")
    with pytest.raises(UserError, match=f"trained on other cells: {CHANGES[change]}"):
        evaluate(composed("evaluate", f"checkpoint={home / 'run'}"), tmp_path / "again")
    loose = shutil.copy(home / "run" / "checkpoints" / "fold_0.ckpt", tmp_path)
    with pytest.raises(UserError, match="labels or patients have changed"):
        evaluate(composed("evaluate", f"checkpoint={loose}"), tmp_path / "again")


def test_a_checkpoint_knows_the_side_of_each_of_its_cells(home: Path, tmp_path: Path) -> None:
    settings = [f"checkpoint={home / 'run'}", "report=false"]
    evaluate(composed("evaluate", *settings), tmp_path)
    for name in RunFolder(tmp_path).fit_names:
        old, new = (
            read_table(run / "folds" / f"{name}-predictions.csv").set_index("name")
            for run in (home / "run", tmp_path)
        )
        assert old["side"].to_dict() == new["side"].to_dict()
        card = torch.load(home / "run" / "checkpoints" / f"{name}.ckpt", weights_only=True)["oadls"]
        for side, keys in card["sides"].items():
            told = old.loc[old["side"] == side, "pixels_sha256"].str[:16]
            assert sorted(keys) == sorted(told)


def test_a_report_comes_from_the_folder_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other cells stand under the old names, and nothing is in the cache."""
    for number, file in enumerate(sorted((home / "cells").rglob("*.png"))):
        draw_cell(file, seed=1000 + number)
    add(home / "cells")
    monkeypatch.setenv("OADLS_CACHE_DIR", str(tmp_path / "empty"))
    before = contents(home / "run")
    reporting.report(home / "run", against=home / "run")
    after = contents(home / "run")
    assert [before[name] for name in TOLD] == [after[name] for name in TOLD]
    assert after["figures/stages.png"] == before["figures/stages.png"]
    html = (home / "run" / "report.html").read_text()
    for caption in ("Tested cells as they came", "Share of Grad-CAM", "Original, Wiener filter"):
        assert re.search(f"{caption}[^<]*As the report showed it before", html)


def test_a_run_goes_on_where_all_files_have_new_names(home: Path) -> None:
    for number, file in enumerate(sorted((home / "cells").rglob("*.png"), reverse=True)):
        file.rename(file.with_name(f"n{number:02}.png"))
    before = json.loads((home / "run" / "metrics.json").read_text())
    settings = (*NETWORK, f"data.root={home / 'cells'}", "report=false")
    train_in(home / "run", *settings, resume=True)
    after = json.loads((home / "run" / "metrics.json").read_text())
    for scores in (before, after):  # the draws of a bootstrap hang on the order
        for part in (scores["test"], *scores.pop("floors").values()):
            part.pop("uncertainty")
        scores.pop("headline")
    assert after == before


def by_row(home: Path) -> None:
    """Turn a run into one of an older version, which kept cells by row."""
    cells = read_table(home / "cells.csv")
    rows = {name: row for row, name in enumerate(cells["name"])}
    classes = json.loads((home / "metrics.json").read_text())["classes"]
    for file in (home / "folds").glob("*-predictions.csv"):
        told = read_table(file)
        old = pd.DataFrame({"row": told["name"].map(rows), "side": told["side"]})
        old["label"] = told["label"].map(classes.index)
        publish_table(file, old.join(told.filter(like="probability_")))
    for file in (home / "folds").glob("*.json"):
        facts = json.loads(file.read_text())
        file.write_text(
            json.dumps({k: facts[k] for k in ("fold", "repeat", "fitness", "checkpoint")})
        )
    (home / "splits.csv").unlink()


def test_an_older_run_is_read_where_its_files_prove_its_rows(home: Path) -> None:
    run = home / "run"
    expected = RunFolder(run).run()
    by_row(run)
    found = RunFolder(run).run()
    pd.testing.assert_frame_equal(found.predictions, expected.predictions)
    assert {fit.tested for fit in found.fits} == {None}
    cells = pd.read_csv(run / "cells.csv")
    swapped = cells.iloc[[1, 0, *range(2, len(cells))]]
    publish_table(run / "cells.csv", swapped)
    with pytest.raises(UserError, match=r"nothing proves|other things than its folds"):
        RunFolder(run).run()


def test_an_older_run_does_not_go_on_with_other_cells(home: Path) -> None:
    by_row(home / "run")
    add(home / "cells")
    with pytest.raises(UserError, match="nothing proves that they are still the same"):
        train_in(home / "run", *NETWORK, f"data.root={home / 'cells'}", resume=True)


def shorten(content: bytes, how: str) -> bytes:
    lines = content.splitlines(keepends=True)
    return {
        "empty": b"",
        "half": content[: len(content) // 2],
        "a line less": b"".join(lines[:-1]),
        "no end": content[:-2],
    }[how]


@pytest.mark.parametrize("how", ["empty", "half", "a line less", "no end"])
@pytest.mark.parametrize(
    "name",
    [
        *("metrics.json", "predictions.csv", "cells.csv", "floors.csv"),
        *("folds/fold_0.json", "folds/fold_0-predictions.csv"),
    ],
)
def test_half_a_file_is_one_sentence_and_never_taken_for_whole(
    home: Path, name: str, how: str
) -> None:
    file = home / "run" / name
    file.write_bytes(shorten(file.read_bytes(), how))
    before = contents(home / "run")
    with pytest.raises(UserError) as told:
        reporting.report(home / "run")
    assert "\n" not in str(told.value)
    assert contents(home / "run") == before


@contextmanager
def full_disk(least: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the kernel refuses, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_report_that_finds_no_room_leaves_the_old_one_whole(home: Path) -> None:
    before = contents(home / "run")
    with full_disk(20_000), pytest.raises(UserError, match=r"cannot be written .File too large"):
        reporting.report(home / "run")
    assert contents(home / "run") == before


def test_going_on_with_a_finished_run_on_a_full_disk_spoils_none_of_it(home: Path) -> None:
    before = contents(home / "run")
    with full_disk(20_000), pytest.raises(UserError, match=r"cannot be written .File too large"):
        train_in(home / "run", *NETWORK, f"data.root={home / 'cells'}", resume=True)
    assert {**contents(home / "run"), "config.yaml": ""} == {**before, "config.yaml": ""}


def test_a_report_that_fails_leaves_the_old_one_whole(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        @staticmethod
        def write(*_: object) -> None:
            raise ZeroDivisionError

    before = contents(home / "run")
    monkeypatch.setattr(page, "SECTIONS", (*page.SECTIONS[:3], Broken))
    with pytest.raises(ZeroDivisionError):
        reporting.report(home / "run")
    assert contents(home / "run") == before


def test_how_often_the_test_part_was_seen_is_known(first: Path) -> None:
    run = first / "run"
    assert [fit.tested for fit in RunFolder(run).run().fits] == [1, 1]
    assert "predicted once by each of the 2 networks" in (run / "report.html").read_text()


def test_each_look_at_a_test_part_is_counted(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.tested("fold_0") == 0
    for looks in (1, 2):
        run.note_test("fold_0")
        assert run.tested("fold_0") == looks
    assert run.tested("fold_1") == 0


@pytest.mark.parametrize("how", ["empty", "half", "no end"])
def test_every_reader_of_scores_finds_that_they_are_half(
    home: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = home / "run" / "metrics.json"
    file.write_bytes(shorten(file.read_bytes(), how))
    for read in (
        lambda: measure_run(home / "run"),
        lambda: Arm([[home / "run"]]).predictions,
        lambda: Arm([[home / "run"]]).validation,
        lambda: reporting.report(home / "run", against=home / "run"),
    ):
        with pytest.raises(UserError, match=r"metrics\.json: is not whole"):
            read()
    assert read_runs(home) == {}  # an ablation goes on without it
    assert "metrics.json: is not whole" in caplog.text
    row = Row("oadls", home / "run", (), {"model": {"head": {}}})
    (told,) = table_3([row], {})["failed"]  # a table says it of the row
    assert "metrics.json: is not whole" in told


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
ODD = st.sampled_from(
    ["NA", "nan", "=1+1", "'x", "-", "007", "1e5", "", "None", "a,b", 'a"b', "a\nb", "a\rb", " x "]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(VALUES | ODD, VALUES | ODD), max_size=4))
def test_texts_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "texts.csv"
    table = pd.DataFrame(rows, columns=["name", "patient"], dtype=object)
    publish_table(file, table)
    wanted = [[printable_lines(text) for text in row] for row in rows]
    assert read_table(file).to_numpy().tolist() == wanted


@given(st.lists(st.floats()))
def test_numbers_are_read_to_the_last_bit(values: list[float]) -> None:
    texts = pd.Series([repr(value) if value == value else "" for value in values], dtype=object)
    np.testing.assert_array_equal(numbers_in(texts).to_numpy(float), np.array(values, dtype=float))
