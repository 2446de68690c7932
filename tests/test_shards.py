"""Shards: files of many writers, each published whole, no record in two."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from oadls import shards as shards_module
from oadls.cache import Cache, delete, recipes
from oadls.errors import UserError

KEYS = [f"a{n:03x}" for n in range(40)]


def record(key):
    """Drawn from the key: two writers of one key make the same."""
    rng = np.random.default_rng(int(key[:4], 16))
    return {"image": rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)}


def opened(folder):
    return Cache("test", {"step": "test"}, folder=folder)


def publish(cache, keys, prefix="a"):
    with cache.draft(prefix) as draft:
        for key in keys:
            draft.write({key: record(key)})
        draft.publish()


def assert_each_once(cache, keys):
    assert len(cache) == len(set(keys))
    assert cache.missing(keys) == []
    for key in keys:
        np.testing.assert_array_equal(cache.read(key)["image"], record(key)["image"])


def test_a_cache_reads_its_own_records_and_those_of_shards(tmp_path):
    cache = opened(tmp_path)
    cache.write({KEYS[0]: record(KEYS[0])})
    publish(cache, KEYS[1:30])
    assert_each_once(cache, KEYS[:30])
    assert KEYS[29] in cache
    assert KEYS[30] not in cache
    assert cache.missing(["b1", *KEYS]) == ["b1", *KEYS[30:]]
    with pytest.raises(KeyError):
        cache.read(KEYS[30])


def test_shards_are_listed_and_deleted_with_their_recipe(tmp_path):
    cache = opened(tmp_path)
    publish(cache, KEYS)
    (entry,) = recipes(tmp_path)
    size = sum(file.stat().st_blocks * 512 for file in cache.shards.files())
    assert entry["records"] == len(KEYS)
    assert entry["bytes"] > size > 0
    delete(cache.path.name, folder=tmp_path)
    again = opened(tmp_path)
    assert again.missing(KEYS) == KEYS
    publish(again, KEYS[:3])
    assert_each_once(again, KEYS[:3])


def test_nobody_reads_a_draft_and_none_stays(tmp_path):
    cache = opened(tmp_path)
    with cache.draft("a") as draft:
        draft.write({KEYS[0]: record(KEYS[0])})
        assert KEYS[0] not in cache
        draft.publish()
        assert KEYS[0] in cache
    with pytest.raises(AttributeError), cache.draft("a") as draft:
        draft.write({KEYS[1]: record(KEYS[1]), KEYS[2]: None})
    assert os.listdir(cache.shards.folder) == ["a-0.mdb"]
    assert_each_once(cache, KEYS[:1])


def test_a_shard_that_is_made_twice_is_published_once(tmp_path):
    cache = opened(tmp_path)
    publish(cache, KEYS)
    publish(cache, KEYS)
    assert os.listdir(cache.shards.folder) == ["a-0.mdb"]
    assert_each_once(cache, KEYS)


def test_a_shard_grows_by_files_and_keeps_those_that_it_has(tmp_path):
    cache = opened(tmp_path)
    publish(cache, KEYS[:10])
    (file,) = cache.shards.files()
    before = file.read_bytes()
    publish(cache, KEYS[5:25])  # five of them are there already
    publish(cache, KEYS)
    assert sorted(os.listdir(cache.shards.folder)) == ["a-0.mdb", "a-1.mdb", "a-2.mdb"]
    assert file.read_bytes() == before
    assert_each_once(cache, KEYS)


def test_of_two_writers_at_once_the_second_adds_what_is_left(tmp_path):
    cache = opened(tmp_path)
    with cache.draft("a") as one, cache.draft("a") as two:
        for draft, keys in ((one, KEYS[:25]), (two, KEYS[15:])):
            for key in keys:
                draft.write({key: record(key)})
        one.publish()
        two.publish()
    assert_each_once(cache, KEYS)


def test_runs_may_cut_the_shards_by_more_digits(tmp_path):
    cache = opened(tmp_path)
    publish(cache, KEYS[:20], prefix="a")
    publish(cache, KEYS[20:32], prefix="a01")
    assert_each_once(cache, KEYS[:32])


def test_a_reader_finds_what_was_published_after_it_looked(tmp_path):
    cache = opened(tmp_path)
    publish(cache, KEYS[:10])
    held = cache.read(KEYS[0])["image"]
    with pytest.raises(KeyError):
        cache.read(KEYS[10])
    publish(opened(tmp_path), KEYS[10:20])
    np.testing.assert_array_equal(cache.read(KEYS[10])["image"], record(KEYS[10])["image"])
    np.testing.assert_array_equal(held, record(KEYS[0])["image"])


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_reader_of_many_shards_keeps_few_files_open(tmp_path):
    cache = opened(tmp_path)
    number = shards_module.OPEN_FILES + 40
    keys = [f"{n:03x}0" for n in range(number)]
    shards_module.forget_files()
    before = open_files()
    for key in keys:
        publish(cache, [key], prefix=key[:3])
    for _ in range(2):
        assert_each_once(cache, keys)
    assert before < open_files() <= before + shards_module.OPEN_FILES + 3


def _publish_parts(folder, first):
    cache = opened(folder)
    for start in range(first, len(KEYS), 5):
        publish(cache, KEYS[start : start + 12])


def test_many_writers_lose_and_double_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_publish_parts, args=(tmp_path, k)) for k in range(3)]
    for writer in writers:
        writer.start()
    cache = opened(tmp_path)
    while any(writer.is_alive() for writer in writers):
        for key in cache.shards.present(KEYS):
            np.testing.assert_array_equal(cache.read(key)["image"], record(key)["image"])
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert_each_once(cache, KEYS)


def _write_without_end(folder):
    with opened(folder).draft("a") as draft:
        for n in range(10**6):
            draft.write({f"a{n}": record(KEYS[0])})


def test_a_killed_writer_leaves_a_draft_that_changes_nothing(tmp_path):
    cache = opened(tmp_path)
    writer = multiprocessing.get_context("spawn").Process(
        target=_write_without_end, args=(tmp_path,)
    )
    writer.start()
    while not list(cache.path.glob("shards/.a-*")):
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    (draft,) = cache.path.glob("shards/.a-*")
    assert draft.stat().st_size > 0
    assert cache.shards.count_drafts("a", since=draft.stat().st_mtime) == 1
    assert cache.shards.count_drafts("a", since=draft.stat().st_mtime + 1) == 0
    assert len(cache) == 0
    publish(cache, KEYS)
    assert_each_once(cache, KEYS)
    cache.shards.remove_stale_drafts()
    assert draft.exists()  # its writer may be alive, for all that this process knows
    long_ago = time.time() - shards_module.STALE - 1
    os.utime(draft, (long_ago, long_ago))
    cache.shards.remove_stale_drafts()
    assert os.listdir(cache.shards.folder) == ["a-0.mdb"]


@pytest.mark.parametrize("damage", ["cut", "overwritten", "emptied"])
def test_a_damaged_file_is_an_error_that_names_it_and_the_way_out(tmp_path, damage):
    cache = opened(tmp_path)
    publish(cache, KEYS[:20])
    (file,) = cache.shards.files()
    content = file.read_bytes()
    kept = {"cut": content[: len(content) // 2], "overwritten": b"x" * len(content), "emptied": b""}
    file.write_bytes(kept[damage])
    shards_module.forget_files()
    with pytest.raises(UserError, match=r"a-0\.mdb is damaged .*; delete this file"):
        cache.read(KEYS[0])
    file.unlink()
    shards_module.forget_files()
    assert cache.missing(KEYS) == KEYS
    publish(cache, KEYS)
    assert_each_once(cache, KEYS)


def test_a_damaged_record_of_a_shard_is_found(tmp_path):
    cache = opened(tmp_path)
    publish(cache, KEYS[:1])
    (file,) = cache.shards.files()
    content = bytearray(file.read_bytes())
    place = content.rindex(cache._encode(KEYS[0], record(KEYS[0]))[-16:])
    content[place] ^= 1
    file.write_bytes(content)
    shards_module.forget_files()
    with pytest.raises(UserError, match=f"record {KEYS[0]} .* is damaged"):
        cache.read(KEYS[0])


def test_where_nothing_can_be_published_the_user_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(UserError, match="has hard links"):
        publish(opened(tmp_path), KEYS)
