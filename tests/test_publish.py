"""Files of a run are there whole, or as they were before."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from oadls.errors import UserError
from oadls.publish import publish, publish_all, publish_table, publish_text


def test_a_published_file_is_the_new_one_and_nothing_else_is_left(tmp_path: Path):
    file = tmp_path / "new" / "metrics.json"
    for text in ("first", "second, Blutzelle µ"):
        publish_text(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert [each.name for each in file.parent.iterdir()] == ["metrics.json"]


def publish_by(act: Callable[[Path], None], file: Path) -> None:
    """Publish what a function does with the draft."""
    with publish(file) as draft:
        act(draft)


def fill_the_disk(draft: Path) -> None:
    """Write to the kernel's own full disk."""
    draft.symlink_to("/dev/full")
    draft.write_text("much")


def test_a_full_disk_leaves_the_old_file_and_one_sentence(tmp_path: Path):
    file = tmp_path / "metrics.json"
    file.write_text("good")
    with pytest.raises(UserError, match=r"metrics\.json: .*No space left.* unchanged"):
        publish_by(fill_the_disk, file)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"metrics.json": "good"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, MemoryError])
def test_whatever_else_fails_leaves_the_old_file_and_says_itself(tmp_path: Path, failure):
    def fail(draft: Path) -> None:
        draft.write_text("half")
        raise failure

    file = tmp_path / "metrics.json"
    file.write_text("good")
    with pytest.raises(failure):
        publish_by(fail, file)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"metrics.json": "good"}


def test_a_file_that_cannot_be_read_is_not_called_one_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "picture").mkdir()
    with pytest.raises(IsADirectoryError):
        publish_by(lambda draft: (tmp_path / "picture").read_bytes(), tmp_path / "page.html")


@pytest.fixture
def as_a_user() -> Iterator[Path]:
    """A folder of somebody for whom permissions count: for root they do not."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    yield folder
    if os.getuid() == 0:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_folder_or_file_without_permission_to_write_is_one_sentence(as_a_user: Path):
    shut, kept = as_a_user / "shut", as_a_user / "kept.csv"
    shut.mkdir(mode=0o500)
    kept.write_text("good")
    kept.chmod(0o400)
    for file in (shut / "a.csv", kept):
        with pytest.raises(UserError, match=f"{file}: cannot be written .Permission denied."):
            publish_text(file, "new")
    assert kept.read_text() == "good"
    assert not any(shut.iterdir())


def test_a_folder_where_a_file_is_wanted_is_one_sentence(tmp_path: Path):
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "plain").write_text("no folder")
    for place in (tmp_path / "a.csv", tmp_path / "plain" / "b.csv"):
        with pytest.raises(UserError, match="cannot be written"):
            publish_text(place, "new")
    assert (tmp_path / "plain").read_text() == "no folder"


def test_a_reader_finds_the_old_or_the_new_file_and_never_a_part(tmp_path: Path):
    """A program that is killed while it writes leaves a whole file."""
    file = tmp_path / "large.txt"
    publish_text(file, "0" * 1_000_000)
    code = (
        "import sys; from pathlib import Path; from oadls.publish import publish_text\n"
        "for k in range(1, 10_000):\n"
        "    publish_text(Path(sys.argv[1]), str(k % 10) * 1_000_000)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(file)])
    try:
        while (content := file.read_text())[0] == "0":
            assert len(content) == 1_000_000
            assert writer.poll() is None
        for _ in range(30):
            content = file.read_text()
            assert content == content[0] * 1_000_000
    finally:
        writer.kill()
        writer.wait()
    content = file.read_text()
    assert content == content[0] * 1_000_000


def test_drafts_that_killed_programs_left_are_cleared_a_day_later(tmp_path: Path):
    old, young = tmp_path / ".draft-old.ckpt", tmp_path / ".draft-young.ckpt"
    for draft in (old, young):
        draft.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    publish_text(tmp_path / "a.csv", "")
    assert not old.exists()
    assert young.exists()


def test_a_name_that_is_not_utf_8_keeps_its_bytes(tmp_path: Path):
    publish_text(tmp_path / "names.txt", os.fsdecode(b"caf\xe9.png \xc3\xa4"))
    assert (tmp_path / "names.txt").read_bytes() == b"caf\xe9.png \xc3\xa4"


def test_a_published_table_is_read_back_as_it_was(tmp_path: Path):
    table = pd.DataFrame({"path": ["ä, b.png"], "probability": [1 / 3]})
    publish_table(tmp_path / "cells.csv", table)
    found = pd.read_csv(tmp_path / "cells.csv")
    pd.testing.assert_frame_equal(found, table, check_exact=True)


def test_many_files_are_published_at_the_end_and_the_last_one_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put: list[str] = []
    rename = Path.replace

    def noted(path: Path, target: Path) -> Path:
        put.append(target.name)
        return rename(path, target)

    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("kept")
    (tmp_path / "a.json").write_text("old")
    with publish_all(tmp_path, last=("a.json",)) as draft:
        publish_text(draft / "a.json", "new")
        publish_text(draft / "figures" / "roc.png", "new")
        publish_text(draft / "z.csv", "new")
        assert (tmp_path / "a.json").read_text() == "old"
        monkeypatch.setattr(Path, "replace", noted)
    found = {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    assert {str(file.relative_to(tmp_path)): text for file, text in found.items()} == {
        "a.json": "new",
        "figures/mine.png": "kept",
        "figures/roc.png": "new",
        "z.csv": "new",
    }
    assert put == ["roc.png", "z.csv", "a.json"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "figures", "z.csv"]


def test_many_files_that_find_no_room_leave_all_as_it_was(tmp_path: Path):
    (tmp_path / "a.json").write_text("old")

    def fill(folder: Path) -> None:
        with publish_all(folder) as draft:
            publish_text(draft / "a.json", "new")
            publish_by(fill_the_disk, draft / "b.csv")

    with pytest.raises(UserError, match="No space left"):
        fill(tmp_path)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a.json": "old"}
