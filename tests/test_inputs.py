"""No command changes an input: every file of a data folder is hashed before and after each."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from oadls import cache, compare, cost
from oadls.audit import audit
from oadls.data.synthetic import load
from oadls.evaluate import evaluate
from oadls.prepare import prepare
from oadls.report.__main__ import main as report
from oadls.sweep.__main__ import main as sweep
from tests.runs import composed, train_in

pytestmark = pytest.mark.usefixtures("own_cache")

SMALL = (
    "data.window=110",
    "model/head=linear_probe",
    "model.backbone.size=64",
    "training.epochs=1",
    "training.views=1",
    "training.test_views=1",
    "training.batch_size=4",
)
# what opens, makes, moves or removes something, and at which of its arguments the paths stand
CHANGES = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
watched: dict[str, Any] = {"folder": None, "touched": []}


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what is about to be changed in the watched folder; of this process alone."""
    folder = watched["folder"]
    if folder is None or not (event == "open" or event in CHANGES):
        return
    if event == "open":
        path, mode, flags = arguments
        paths = (path,) if flags & WRITES or set(mode or "") & set("wax+") else ()
    else:
        paths = tuple(arguments[place] for place in CHANGES[event])
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            real = os.path.realpath(os.fsdecode(path))
            if real.startswith(folder):
                watched["touched"].append((event, real))


sys.addaudithook(watch)


def state(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time of change and hash of everything in a folder, by its path."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        digest = hashlib.sha256(content).hexdigest()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, digest)
    return found


@pytest.fixture(scope="module")
def inputs(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve patients with two cells each as ALL-IDB2 lays them out; tables that name them by
    absolute paths, through a link and by "..", with patients and masks.
    """
    home = tmp_path_factory.mktemp("inputs").resolve()
    drawn = load(root=tmp_path_factory.mktemp("drawn"), patients=12, cells_per_patient=2, seed=0)
    (home / "images").mkdir()
    (home / "masks").mkdir()
    (home / "elsewhere").symlink_to(home / "images")
    rows = []
    for number, cell in enumerate(drawn.table.itertuples()):
        name = f"Im{number:03d}_{int(cell.label == 'all')}.png"
        shutil.copy(cell.path, home / "images" / name)
        shutil.copy(cell.mask, home / "masks" / name)
        ways = (home / "images", home / "elsewhere", home / "masks" / ".." / "images")
        path = ways[number % 3] / name
        rows.append((path, cell.label, cell.patient, home / "masks" / name))
    columns = ["path", "label", "patient", "mask"]
    pd.DataFrame(rows, columns=columns).to_csv(home / "cells.csv", index=False)
    for path in home.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    home.chmod(0o555)
    return home


@pytest.fixture(scope="module")
def own(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The cells by the table, whose paths lead out of data.root."""
    root = tmp_path_factory.mktemp("root")
    return ("data=folder", f"data.root={root}", f"data.table={inputs / 'cells.csv'}", *SMALL)


@pytest.fixture
def unchanged(inputs: Path) -> Iterator[None]:
    before = state(inputs)
    watched.update(folder=str(inputs), touched=[])
    yield
    watched["folder"] = None
    assert watched["touched"] == []
    assert state(inputs) == before


@pytest.fixture(scope="module")
def run(own: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in(tmp_path_factory.mktemp("run"), *own, "floors=false", "report=false")


def in_process(*arguments: str) -> None:
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=one)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.usefixtures("unchanged")
def test_preparing_and_exporting_change_no_input(own: tuple[str, ...], tmp_path: Path) -> None:
    prepare(composed("prepare", *own[:3], f"export={tmp_path / 'out'}"))
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 24


@pytest.mark.usefixtures("unchanged")
def test_training_and_a_page_change_no_input(own: tuple[str, ...], tmp_path: Path) -> None:
    assert (train_in(tmp_path, *own) / "report.html").is_file()


@pytest.mark.usefixtures("unchanged")
def test_an_audit_changes_no_input(own: tuple[str, ...], tmp_path: Path) -> None:
    audit(composed("audit", *own), tmp_path)
    assert list(tmp_path.iterdir())


@pytest.mark.usefixtures("unchanged")
def test_evaluating_changes_no_input(own: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    evaluate(composed("evaluate", f"checkpoint={run}", "report=false"), tmp_path)
    assert (tmp_path / "metrics.json").is_file()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("command", [report, cost.main])
def test_commands_on_a_run_change_no_input(command: Callable[[list[str]], int], run: Path) -> None:
    name = "run" if command is report else "folder"
    assert command([f"{name}={run}"]) == 0


@pytest.mark.usefixtures("unchanged")
def test_a_sweep_and_its_conclusion_change_no_input(own: tuple[str, ...], tmp_path: Path) -> None:
    tiny = ("model/head=acrnn_f", "+model.head.plane.side=32", "+model.head.plane.width=8")
    search = ("+sweep=rmsprop", "hydra.sweeper.n_trials=1", f"hydra.sweep.dir={tmp_path}")
    in_process("-m", "oadls.train", "-m", *own, "name=swept", *tiny, *search)
    assert sweep([f"folder={tmp_path}", "seeds=1"]) == 0


@pytest.mark.usefixtures("unchanged")
def test_comparing_rows_changes_no_input(inputs: Path, tmp_path: Path) -> None:
    rows = ("cells=all_idb2", "rows=[svm_cell_energy]", "split.folds=2", "costs=false")
    arguments = [*rows, f"data.root={inputs}", f"folder={tmp_path}", "report=false", "floors=false"]
    assert compare.main(arguments) == 0


@pytest.mark.usefixtures("unchanged")
def test_emptying_the_cache_changes_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OADLS_CACHE_DIR", str(tmp_path))
    assert cache.main(["--delete", "all"]) == 0
