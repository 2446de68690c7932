"""One file under limits: address space, disk, rights, forks, and damage; each is one sentence."""

import multiprocessing
import os
import resource
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest

from oadls import cache as cache_module
from oadls import shards as shards_module
from oadls import store as store_module
from oadls.cache import Cache, delete, main, recipes
from oadls.errors import UserError
from tests.children import become_nobody, in_child
from tests.stored import KEYS, fill, fill_and_read, opened, record, whole

MEGABYTE = 1 << 20


@pytest.fixture
def small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "START", MEGABYTE)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may reach; pytest's are for one."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# --- forks


def test_a_child_reads_and_writes_what_its_parent_had_opened(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    fill(cache, KEYS[:5])
    with cache.draft("1") as draft:
        draft.write({key: record(key) for key in KEYS[16:18]})
        draft.publish()
    assert whole(cache, [*KEYS[:5], *KEYS[16:18]])

    def work(depth: int) -> bool:
        fill(cache, KEYS[5 * depth : 5 * depth + 5])
        deeper = in_child(work, depth + 1) if depth < 2 else True
        return deeper and whole(cache, [*KEYS[: 5 * depth + 5], *KEYS[16:18]])

    assert in_child(work, 1) is True
    assert whole(cache, KEYS[:15])
    fill(cache, KEYS[15:16])
    assert in_child(whole, cache, KEYS[:16]) is True


def test_a_fork_waits_for_threads_that_read(tmp_path: Path) -> None:
    cache, done = opened(tmp_path), threading.Event()
    fill(cache)

    def read() -> None:
        while not done.is_set():
            whole(cache, KEYS)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(whole, cache, KEYS[:3]) for _ in range(5)] == [True] * 5
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_every_kind_read_and_write(tmp_path: Path, method: str) -> None:
    cache = opened(tmp_path)
    fill(cache)
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(fill_and_read, cache, KEYS).result(60)
        fill(cache, KEYS[:1])
        assert pool.submit(fill_and_read, cache, KEYS).result(60)


def test_processes_of_joblib_read_and_write(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    fill(cache)
    work = [joblib.delayed(fill_and_read)(cache, KEYS[n:]) for n in range(4)]
    assert joblib.Parallel(n_jobs=2, backend="loky")(work) == [True] * 4


# --- the map


@pytest.mark.usefixtures("small_maps")
def test_a_map_grows_with_its_content(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    fill(cache)  # 6 MB
    cache.write({"big": record("0", size=9_000_000), "big too": record("1", size=5_000_000)})
    assert len(cache) == 22
    assert whole(cache, KEYS)
    with cache.draft("a") as draft:
        draft.write({f"a{key}": record(key) for key in KEYS})
        draft.publish()
    np.testing.assert_array_equal(cache.read(f"a{KEYS[7]}")["0"], record(KEYS[7])["0"])


def _write_in_turn(folder: Path, keys: list[str], barrier: "threading.Barrier") -> None:
    cache = opened(folder)
    for key in keys:
        barrier.wait(30)  # so that each is behind the others now and then
        fill(cache, [key])
        assert len(cache) >= 1


@pytest.mark.usefixtures("small_maps")
def test_several_processes_grow_one_file(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert cache.missing(KEYS) == KEYS  # opened here before it grows elsewhere
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    writers = [
        context.Process(target=_write_in_turn, args=(tmp_path, KEYS[n::2], barrier))
        for n in range(2)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        known = set(KEYS) - set(cache.missing(KEYS))
        assert whole(cache, sorted(known))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert whole(cache, KEYS)


def _write_under(cache: Cache, limit: int, room: int) -> list[str]:
    """Messages of writing under a limit, and of reading then."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = pages * resource.getpagesize() if limit == resource.RLIMIT_AS else 0
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (used + room, hard))
    try:
        fill(cache)
        messages = ["all written"]
    except UserError as error:
        messages = [str(error)]
    left = cache.missing(KEYS)
    kept = [key for key in KEYS if key not in left]
    messages.append(f"{len(kept)} {whole(cache, kept)}")
    resource.setrlimit(limit, (hard, hard))
    fill(cache, left)
    return [*messages, str(whole(cache, KEYS))]


def test_the_cache_works_in_little_address_space(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert in_child(_write_under, cache, resource.RLIMIT_AS, 100 * MEGABYTE) == [
        "all written",
        "20 True",
        "True",
    ]


def test_too_little_address_space_is_told_and_loses_nothing(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    fill(cache, KEYS[:3])
    first, kept, after = in_child(_write_under, cache, resource.RLIMIT_AS, 6 * MEGABYTE)
    assert "does not fit into the address space" in first
    assert "ulimit -v" in first
    assert int(kept.split()[0]) >= 3
    assert kept.endswith("True")
    assert after == "True"


# --- the disk


@pytest.mark.parametrize("room", [3 * MEGABYTE, 3 * MEGABYTE + 2048])
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, room: int) -> None:
    cache = opened(tmp_path)
    fill(cache, KEYS[:3])
    first, kept, after = in_child(_write_under, cache, resource.RLIMIT_FSIZE, room)
    assert "cannot be written" in first
    assert "make room" in first
    assert "\n" not in first
    assert int(kept.split()[0]) >= 3
    assert kept.endswith("True")
    assert after == "True"


def test_a_disk_that_was_full_from_the_start_is_told(tmp_path: Path) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        opened(tmp_path)

    message = in_child(work)
    assert message.startswith("UserError: cache: ")
    assert "make room" in message
    assert os.listdir(tmp_path) == []
    fill(opened(tmp_path), KEYS[:2])


def test_a_full_disk_under_a_draft_is_told_and_what_is_published_stays(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    with cache.draft("0") as draft:
        draft.write({"00": record("00")})
        draft.publish()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, resource.RLIM_INFINITY))
        with cache.draft("0") as draft:
            draft.write({key: record(key) for key in KEYS})

    assert "make room" in in_child(work)
    assert os.listdir(cache.shards.folder) == ["0-0.mdb"]
    assert whole(cache, ["00"])


# --- rights


def forbid(folder: Path) -> None:
    """As a read-only file system does: nothing in it can be written or made."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_what_a_read_only_cache_holds_can_be_used(open_folder: Path) -> None:
    cache = opened(open_folder)
    fill(cache, KEYS[:5])
    with cache.draft("1") as draft:
        draft.write({key: record(key) for key in KEYS[16:18]})
        draft.publish()
    forbid(open_folder)

    def work() -> list[object]:
        become_nobody()
        found = opened(open_folder)
        seen = [whole(found, [*KEYS[:5], *KEYS[16:18]]), len(found), found.missing(KEYS[:6])]
        new = opened(open_folder, "new")
        return [*seen, new.missing(KEYS[:2]), len(new), "00" in new, len(recipes(open_folder))]

    assert in_child(work) == [True, 7, [KEYS[5]], KEYS[:2], 0, False, 1]


@pytest.mark.parametrize("action", ["write", "new", "draft", "delete"])
def test_a_read_only_cache_says_that_it_is(open_folder: Path, action: str) -> None:
    cache = opened(open_folder)
    fill(cache, KEYS[:1])
    forbid(open_folder)

    def work() -> None:
        become_nobody()
        if action == "delete":
            delete(cache.path.name, folder=open_folder)
        elif action == "draft":
            cache.draft("a")
        else:
            fill(opened(open_folder, "new" if action == "new" else "test"), KEYS[1:2])

    message = in_child(work)
    assert message.startswith(f"UserError: cache: {open_folder}")
    assert "Permission denied" in message
    assert "\n" not in message
    assert ("OADLS_CACHE_DIR" in message) == (action != "delete")


# --- damage


def put(cache: Cache, key: str, value: bytes) -> None:
    """Into the place of a key, past all checks."""
    store = cache_module._store(cache.path)
    store.change(lambda transaction: transaction.put(cache_module._key(key), value))


def test_a_record_in_the_place_of_another_key_is_damage(tmp_path: Path) -> None:
    cache, other = opened(tmp_path), opened(tmp_path, "other")
    put(cache, "a", cache._encode("b", record("0")))
    put(cache, "b", other._encode("b", record("0")))
    put(cache, "c", cache._encode("c", record("0")))
    for key in "ab":
        with pytest.raises(UserError, match=f"record {key} .* is damaged"):
            cache.read(key)
    assert cache.read("c").keys() == {"0"}


def test_a_shard_in_the_place_of_another_recipes_is_damage(tmp_path: Path) -> None:
    cache, other = opened(tmp_path), opened(tmp_path, "other")
    with other.draft("0") as draft:
        draft.write({"00": record("00")})
        draft.publish()
    shutil.copytree(other.shards.folder, cache.shards.folder)
    with pytest.raises(UserError, match=r"record 00 .* is damaged"):
        cache.read("00")


BODIES = [b"", b"x" * 7, b"\xff" * 40, bytes(8), bytes(8) + b"[]"]
HEADERS = ["[]", "null", '{"a": 1}', '{"a": {}}', "{", "\xff", "[" * 5000]
HEADERS += [
    f'{{"a": {{"dtype": {dtype}, "shape": {shape}, "data_offsets": [{offset}, 9]}}}}'
    for dtype in ('"U8"', '"NO"', "null")
    for shape in ("[4]", "[-4]", "[1e400]", '["a"]', "null", f"[{10**30}]")
    for offset in ("0", "-1", '"0"', f"{10**30}")
    if (dtype, shape, offset) != ('"U8"', "[4]", "0")
]
BODIES += [
    len(header).to_bytes(8, "little") + header.encode("latin1") + bytes(9) for header in HEADERS
]


@pytest.mark.parametrize("compress", [True, False])
def test_whatever_cannot_be_decoded_is_one_error(tmp_path: Path, compress: bool) -> None:
    cache = Cache("test", {}, folder=tmp_path, compress=compress)
    for body in BODIES:
        put(cache, "a", cache._checksum("a", body) + body)
        with pytest.raises(UserError, match=r"record a .* is damaged"):
            cache.read("a")


@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten", "pages"])
def test_a_damaged_file_is_told_or_made_anew(tmp_path: Path, damage: str) -> None:
    cache = opened(tmp_path)
    fill(cache)
    cache_module._store(cache.path).close()
    file = cache.path / "data.mdb"
    content = file.read_bytes()
    kept = {
        "cut": content[: len(content) // 2 + 100],
        "emptied": b"",
        "overwritten": b"x" * len(content),
        "pages": content[:8192] + bytes(len(content) - 8192),
    }
    file.write_bytes(kept[damage])

    def work() -> str:
        for key in KEYS:
            try:
                assert (cache.read(key)["0"] == record(key)["0"]).all()
            except (KeyError, UserError) as error:
                return f"{type(error).__name__} {error}"
        return "all there"

    message = in_child(work)
    if damage == "emptied":
        assert message.startswith("KeyError")
    else:
        assert message.startswith("UserError cache: ")
        assert f"python -m oadls.cache --delete {cache.path.name}" in message


def test_a_damaged_recipe_is_listed_and_can_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OADLS_CACHE_DIR", str(tmp_path))
    for name in ("one", "two"):
        fill(opened(tmp_path, name), KEYS[:1])
        cache_module._store(opened(tmp_path, name).path).close()
    (opened(tmp_path, "one").path / "data.mdb").write_bytes(b"x" * 9000)
    (opened(tmp_path, "two").path / "recipe.json").write_text("{")
    assert main([]) == 0
    assert capsys.readouterr().out.count(" damaged ") == 2
    assert main(["--delete", "all"]) == 0
    assert os.listdir(tmp_path) == []


def test_a_store_that_failed_is_used_again(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    fill(cache, KEYS[:2])
    store = cache_module._store(cache.path)
    with pytest.raises(UserError, match="cannot be used"), store.reading():
        raise OSError(5, "Input/output error")
    assert whole(cache, KEYS[:2])
    shards_module.forget_files()
