"""The cache keeps what was written, under many writers and after a kill."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from oadls import cache as cache_module
from oadls.cache import Cache, delete, fingerprint, recipes
from oadls.errors import UserError

RECIPE = {"step": "test", "size": 3}


def record(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (40, 40, 3), dtype=np.uint8),
        "map": rng.normal(size=(4, 5)).astype(np.float32),
    }


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])
        assert found[name].dtype == wanted[name].dtype


@pytest.mark.parametrize("compress", [True, False])
def test_a_record_comes_back_as_it_went_in(tmp_path: Path, compress: bool) -> None:
    cache = Cache("test", RECIPE, folder=tmp_path, compress=compress)
    cache.write({"a": record(1)})
    assert_same(cache.read("a"), record(1))
    assert "a" in cache
    assert cache.missing(["b", "a", "c"]) == ["b", "c"]
    with pytest.raises(KeyError):
        cache.read("b")


def test_any_change_of_the_recipe_is_another_cache(tmp_path: Path) -> None:
    Cache("test", RECIPE, folder=tmp_path).write({"a": record(1)})
    assert "a" not in Cache("test", {**RECIPE, "size": 4}, folder=tmp_path)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def _write_many(folder: Path, first: int, count: int) -> None:
    cache = Cache("test", RECIPE, folder=folder)
    for i in range(first, first + count):
        cache.write({str(i): record(i)})


def test_several_writers_and_readers_lose_and_mix_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    # the ranges overlap: two writers of one record must leave one whole record
    writers = [context.Process(target=_write_many, args=(tmp_path, 10 * k, 30)) for k in range(3)]
    for writer in writers:
        writer.start()
    cache = Cache("test", RECIPE, folder=tmp_path)
    while any(writer.is_alive() for writer in writers):
        for i in range(50):
            if str(i) in cache:
                assert_same(cache.read(str(i)), record(i))
        time.sleep(0.02)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(cache) == 50
    for i in range(50):
        assert_same(cache.read(str(i)), record(i))


def test_a_writer_killed_in_the_middle_leaves_whole_records_only(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_many, args=(tmp_path, 0, 100_000))
    writer.start()
    cache = Cache("test", RECIPE, folder=tmp_path)
    while len(cache) < 20:
        time.sleep(0.01)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    found = len(cache)
    assert found >= 20
    for i in range(found):
        assert_same(cache.read(str(i)), record(i))
    cache.write({"after": record(7)})  # the dead writer's lock does not hold the next one up
    assert_same(cache.read("after"), record(7))


def put(cache: Cache, key: str, value: bytes) -> None:
    """Into the place of a key, past all checks."""
    store = cache_module._store(cache.path)
    store.change(lambda transaction: transaction.put(cache_module._key(key), value))


def test_a_damaged_record_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    cache = Cache("test", RECIPE, folder=tmp_path)
    body = cache._encode("a", record(1))
    put(cache, "a", body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(UserError, match=f"--delete {cache.path.name}"):
        cache.read("a")


def test_recipes_are_listed_and_deleted(tmp_path: Path) -> None:
    cache = Cache("test", RECIPE, folder=tmp_path)
    cache.write({"a": record(1)})
    (entry,) = recipes(tmp_path)
    assert entry["name"] == cache.path.name
    assert entry["records"] == 1
    assert entry["recipe"] == RECIPE
    delete(cache.path.name, folder=tmp_path)
    assert recipes(tmp_path) == []
    with pytest.raises(UserError, match="no recipe nothing"):
        delete("nothing", folder=tmp_path)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_records_are_read_as_safetensors_reads_them(dtype):
    rng = np.random.default_rng(0)
    shapes = {"b": (2, 3), "a": (1,), "empty": (0, 4), "scalar": ()}
    arrays = {
        name: np.asarray(9 * rng.random(shape)).astype(dtype) for name, shape in shapes.items()
    }
    body = safetensors.numpy.save(arrays)
    ours, theirs = cache_module.decode_arrays(body), safetensors.numpy.load(body)
    assert ours.keys() == theirs.keys() == arrays.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, strict=True)
