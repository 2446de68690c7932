"""Preparation on a Ray cluster: what it makes, and what is left when something dies."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import ray

from oadls.data.collect import collect
from oadls.data.synthetic import load
from oadls.errors import UserError
from oadls.experiment import build
from oadls.pipeline import PreparedCells
from oadls.ray import connected, fill_shard, run_on_ray
from tests.noting import (
    ITEMS,
    assert_each_once,
    note,
    note_and_die,
    notes,
    on_ray,
    opened,
    run_command,
)
from tests.runs import composed

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Two workers on this machine, for all tests; its address."""
    ray.shutdown()  # a launcher of sweeps may have left one
    with connected(None, 2):
        yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="module")
def table(own_cache, tmp_path_factory):
    """48 small drawn cells, read and hashed."""
    source = partial(
        load, root=tmp_path_factory.mktemp("drawn"), patients=4, cells_per_patient=12, size=64
    )
    return collect(source, max_bad=0).table


def prepared_in(folder, monkeypatch):
    """The pipeline of the default config with a cache of its own."""
    monkeypatch.setenv("OADLS_CACHE_DIR", str(folder))
    return PreparedCells(build(composed("prepare").pipeline)())


def everything(prepared, table):
    """(key, array name) -> array of every record."""
    found = {}
    for key in table["pixels_sha256"]:
        for record in (key, f"{key} picture"):
            arrays = prepared._cache.read(record)
            found |= {(record, name): array for name, array in arrays.items()}
    return found


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.fixture(scope="module")
def wanted(table, tmp_path_factory):
    """What the default engine makes."""
    with pytest.MonkeyPatch.context() as patch:
        prepared = prepared_in(tmp_path_factory.mktemp("local"), patch)
        prepared.fill(table)
        return everything(prepared, table)


def test_ray_makes_what_the_local_engine_makes(table, wanted, tmp_path, monkeypatch):
    prepared = prepared_in(tmp_path, monkeypatch)
    prepared.fill(table, engine=partial(run_on_ray, digits=1))
    assert len(prepared._cache) == 2 * len(table)
    assert len(prepared._cache) == len(prepared._cache.shards)
    assert_equal(everything(prepared, table), wanted)


def state(file):
    """Changes when a file is written or replaced."""
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def test_a_table_that_grows_adds_files_and_leaves_those_that_are_there(
    table, wanted, tmp_path, monkeypatch
):
    prepared = prepared_in(tmp_path, monkeypatch)
    prepared.fill(table[:30], engine=partial(run_on_ray, digits=1))
    before = {file: state(file) for file in prepared._cache.shards.files()}
    prepared.fill(table, engine=partial(run_on_ray, digits=1))
    assert len(prepared._cache.shards.files()) > len(before)
    assert {file: state(file) for file in before} == before
    assert len(prepared._cache) == 2 * len(table)
    assert_equal(everything(prepared, table), wanted)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_killed_worker_loses_and_doubles_nothing(folder):
    cache = opened(folder)
    work = partial(note_and_die, folder=folder, times=2)
    on_ray(work, ITEMS, cache=cache)
    assert len(list(folder.glob("death*"))) == 2
    assert len(list(cache.path.glob("shards/.*"))) == 2  # what the two had begun
    assert_each_once(cache)


def test_workers_that_die_again_and_again_are_told_of(folder):
    cache = opened(folder)
    work = partial(note_and_die, folder=folder, times=99)
    with pytest.raises(UserError, match="workers died on one shard again and again"):
        on_ray(work, ITEMS, cache=cache)
    assert len(list(folder.glob("death*"))) == 4
    on_ray(partial(note, folder=folder / "notes"), ITEMS, cache=cache)
    assert_each_once(cache)


def test_workers_take_one_item_at_a_time_and_no_more_shards_than_there_are_workers(folder):
    work = partial(note, folder=folder / "notes", seconds=0.01)
    on_ray(work, ITEMS[:24], cache=opened(folder), workers=1)
    found = notes(folder / "notes")
    assert {size for *_, size, _ in found} == {"1"}
    times: dict[str, list[float]] = {}
    for _, _, start, end, _, prefix in found:
        times.setdefault(prefix, []).extend((float(start), float(end)))
    spans = sorted((min(each), max(each)) for each in times.values())
    assert len(spans) == 6
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def alive(process):
    """Whether a process runs, as a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers_of(process):
    """The processes below one that run tasks of Ray, or will; they outlive the command a while."""
    parents, names = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, facts = file.read_text().rpartition(")")
            parents[int(file.parent.name)] = int(facts.split()[1])
            names[int(file.parent.name)] = name.partition("(")[2]
    found, waiting = set(), {process}
    while waiting:
        waiting = {child for child, parent in parents.items() if parent in waiting} - found
        found |= waiting
    return {each for each in found if names[each].startswith(("ray::Map", "ray::IDLE"))}


def wait_until(true, *, seconds=100):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_command_is_gone_on_with(folder):
    command = multiprocessing.get_context("spawn").Process(target=run_command, args=(folder, None))
    command.start()
    cache = opened(folder)
    wait_until(lambda: len(cache.shards.files()) >= 3)
    workers = workers_of(command.pid)  # they go on, and publish, until they notice
    os.kill(command.pid, signal.SIGKILL)
    command.join()
    workers |= {int(process) for _, process, *_ in notes(folder / "notes")}
    wait_until(lambda: not any(alive(process) for process in workers))
    missing = cache.missing([key for key, _ in ITEMS])
    assert 0 < len(missing) < len(ITEMS)
    (folder / "notes").rename(folder / "before")
    (folder / "notes").mkdir()
    rest = [item for item in ITEMS if item[0] in missing]
    on_ray(partial(note, folder=folder / "notes"), rest, cache=cache)
    assert sorted(key for key, *_ in notes(folder / "notes")) == missing
    assert_each_once(cache)


def test_two_commands_at_once_share_the_work_and_double_nothing(folder, cluster):
    context = multiprocessing.get_context("spawn")
    commands = [context.Process(target=run_command, args=(folder, cluster)) for _ in range(2)]
    for command in commands:
        command.start()
    for command in commands:
        command.join()
    assert [command.exitcode for command in commands] == [0, 0]
    assert len(ITEMS) <= len(notes(folder / "notes")) < 2 * len(ITEMS)
    assert_each_once(opened(folder))


def test_the_command_prepares_on_ray_and_says_little(tmp_path, monkeypatch):
    monkeypatch.setenv("OADLS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    cells = ("data.patients=2", "data.cells_per_patient=4", "+data.source.size=64")
    command = [sys.executable, "-m", "oadls.prepare", *cells, "engine=ray", "engine.workers=1"]
    done = subprocess.run(
        [*command, "hydra.run.dir=run"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "8 new images" in done.stderr + done.stdout
    assert "median area" in done.stdout
    assert not [line for line in (done.stdout + done.stderr).splitlines() if "ray" in line.lower()]
    (recipe,) = (tmp_path / "cache").glob("prepared-*")
    assert len(list(recipe.glob("shards/*.mdb"))) > 0


def test_an_image_that_a_worker_cannot_read_is_named(table, tmp_path, monkeypatch):
    prepared = prepared_in(tmp_path, monkeypatch)
    broken = table[:20].copy()
    broken.loc[7, "path"] = str(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"gone\.png: no such file") as error:
        prepared.fill(broken, engine=partial(run_on_ray, digits=1))
    assert "\n" not in str(error.value)
    prepared.fill(table[:20], engine=partial(run_on_ray, digits=1))
    assert len(prepared._cache) == 40


def test_a_worker_that_does_not_see_the_cache_says_so(tmp_path):
    cache = opened(tmp_path)
    cache.path.rename(tmp_path / "elsewhere")
    done = fill_shard(
        {"prefix": "0", "hashes": [], "paths": []}, function=note, cache=cache, start=0.0
    )
    assert "every worker must see OADLS_CACHE_DIR" in done["error"]


def test_without_ray_the_user_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'oadls\[ray\]'"):
        on_ray(note, ITEMS, cache=opened(tmp_path))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto.invalid:6379", "here"])
def test_a_cluster_that_is_not_there_is_told_of_at_once(address, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with (
        pytest.raises(UserError, match=f"no Ray cluster at {address} .*; ray start --head"),
        connected(address, None),
    ):
        pass


def test_nothing_is_started_where_nothing_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    on_ray(note, [], cache=opened(tmp_path))


@pytest.mark.parametrize("setting", ["workers=0", "digits=0", "digits=x"])
def test_a_setting_that_cannot_be_is_refused(setting):
    with pytest.raises(UserError, match=f"{setting.split('=')[0]}: Input should be"):
        build(composed("prepare", "engine=ray", f"engine.{setting}").engine)
