"""Facts of a file are those of what is in it now, and a fault of the moment is forgotten."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oadls.data import collect, read
from oadls.data.collect import inspect_all, join_duplicates
from oadls.data.read import BadImage, hash_pixels
from oadls.experiment import build
from oadls.pipeline import PreparedCells
from tests.children import become_nobody, in_child
from tests.runs import composed

pytestmark = pytest.mark.usefixtures("own_cache")
THEN = 1_600_000_000_000_000_000  # ns; one time for all files


def draw(path: Path, seed: int) -> str:
    """Write a picture of which all seeds have the same size in bytes; its hash."""
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="BMP")
    os.utime(path, ns=(THEN, THEN))
    return hash_pixels(pixels)


def hashes(paths: list[Path]) -> list[str]:
    facts, bad = inspect_all([str(path) for path in paths])
    assert not bad
    return facts["pixels_sha256"].tolist()


# --- which file


CHANGES = st.lists(
    st.tuples(st.sampled_from(["swap", "rewrite", "replace", "copy", "link"]), st.integers(0, 2)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=12)
@given(changes=CHANGES)
def test_facts_follow_the_files_whatever_takes_their_place(tmp_path_factory, changes) -> None:
    folder = tmp_path_factory.mktemp("cells")
    paths = [folder / f"{k}.bmp" for k in range(3)]
    for k, path in enumerate(paths):
        draw(path, k)
    hashes(paths)
    for number, (change, k) in enumerate(changes):
        path, other, spare = paths[k], paths[k - 1], folder / "spare"
        if change == "rewrite":  # in its place, its times kept
            draw(path, 10 + number)
        elif change == "replace":
            draw(spare, 10 + number)
            spare.replace(path)
        else:
            path.rename(spare)
            if change == "swap":
                other.rename(path)
                spare.rename(other)
            elif change == "copy":
                shutil.copy2(other, path)
            else:
                path.hardlink_to(other)
        assert {path.stat().st_mtime_ns for path in paths} == {THEN}
        assert len({path.stat().st_size for path in paths}) == 1
        assert hashes(paths) == [hash_pixels(np.array(Image.open(path))) for path in paths]


def test_facts_of_a_file_that_changes_while_it_is_read_are_not_kept(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.bmp"
    draw(path, 0)
    inspect = collect.inspect_image

    def slowly(path: Path, **settings):
        facts = inspect(path, **settings)
        draw(path, 1)
        return facts

    monkeypatch.setattr(collect, "inspect_image", slowly)
    inspect_all([str(path)])
    monkeypatch.setattr(collect, "inspect_image", inspect)
    assert hashes([path]) == [draw(path, 1)]


# --- faults


PASSING = [
    PermissionError(errno.EACCES, "Permission denied"),
    *(
        OSError(code, os.strerror(code))
        for code in (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOMEM)
    ),
    FileNotFoundError(errno.ENOENT, "No such file"),
    MemoryError(),
]


@pytest.mark.parametrize(
    ("fault", "place"),
    [(fault, "_open_without_waiting") for fault in PASSING]
    + [(MemoryError(), place) for place in ("_decode", "hash_detail")],
    ids=repr,
)
def test_a_fault_of_the_moment_is_said_and_forgotten(tmp_path, monkeypatch, fault, place) -> None:
    path = tmp_path / "a.bmp"
    known = draw(path, 0)

    def fail(*_, **__):
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(read, place, fail)
        facts, bad = inspect_all([str(path)])
        assert len(facts) == 0
        assert bad[str(path)].startswith(f"{path}: ")
        assert "\n" not in bad[str(path)]
    assert hashes([path]) == [known]


def test_a_fault_that_passes_at_once_is_none(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.bmp"
    known, tries = draw(path, 0), []
    opener = read._open_without_waiting

    def fail_once(*arguments):
        tries.append(arguments)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return opener(*arguments)

    monkeypatch.setattr(read, "_open_without_waiting", fail_once)
    assert hashes([path]) == [known]


def test_what_is_wrong_with_the_content_is_kept(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.bmp"
    draw(path, 0)
    path.write_bytes(path.read_bytes()[:500])
    _, first = inspect_all([str(path)])
    monkeypatch.setattr(collect, "inspect_image", None)  # whoever looks again fails
    assert inspect_all([str(path)])[1] == first
    assert "cut short" in first[str(path)]


@pytest.fixture
def open_folder(monkeypatch) -> Iterator[Path]:
    """A folder with a cache that every user may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    monkeypatch.setenv("OADLS_CACHE_DIR", str(folder / "cache"))
    yield folder
    shutil.rmtree(folder)


def test_a_file_without_permission_is_read_when_it_has_one(open_folder) -> None:
    path = open_folder / "a.bmp"
    known = draw(path, 0)

    def look() -> tuple[list[str], dict[str, str]]:
        become_nobody()
        facts, bad = inspect_all([str(path)])
        return facts["pixels_sha256"].tolist(), bad

    path.chmod(0)
    nothing, bad = in_child(look)
    assert nothing == []
    assert "Permission denied" in bad[str(path)]
    path.chmod(0o644)
    assert in_child(look) == ([known], {})


# --- what is made of a file


def cells(paths: list[Path]) -> pd.DataFrame:
    facts, _ = inspect_all([str(path) for path in paths])
    names = {"path": [str(path) for path in paths], "name": [path.stem for path in paths]}
    return facts.assign(**names, label=None, patient=None, group=names["name"])


def test_no_picture_is_kept_as_that_of_another(tmp_path) -> None:
    path = tmp_path / "a.bmp"
    draw(path, 0)
    table = cells([path])
    draw(path, 1)
    prepared = PreparedCells(build(composed("prepare").pipeline)())
    with pytest.raises(BadImage, match=f"{path}: the file was changed while this command ran"):
        prepared.fill(table)
    assert table["pixels_sha256"][0] not in prepared._cache
    prepared.fill(cells([path]))
    draw(path, 0)
    prepared.fill(table)
    assert table["pixels_sha256"][0] in prepared._cache


def test_no_groups_are_kept_of_files_that_changed(tmp_path) -> None:
    paths = [tmp_path / "a.bmp", tmp_path / "b.png"]
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(1, 255, (8, 8, 3), dtype=np.uint8))
    picture = small.resize((64, 64), Image.Resampling.BICUBIC)
    picture.save(paths[0])
    picture.point(lambda value: value // 2 + 1).save(paths[1])
    table = cells(paths)
    before = paths[1].read_bytes()
    draw(paths[1], 3)
    with pytest.raises(BadImage, match="was changed"):
        join_duplicates(table)
    paths[1].write_bytes(before)
    assert join_duplicates(table)["group"].nunique() == 1
