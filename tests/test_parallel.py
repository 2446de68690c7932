import functools
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from oadls.errors import UserError
from oadls.parallel import batches, run_blocks
from tests.noting import ITEMS, assert_each_once, notes, opened, run_locally


@pytest.fixture
def processes(monkeypatch):
    """Work that lasts long enough for a pool of processes."""
    monkeypatch.setattr("oadls.parallel.START", -1)
    monkeypatch.setattr("oadls.parallel.cores", lambda: 2)


def note(block, *, folder):
    """A line for each item, in a file for each block."""
    text = "".join(f"{item}\n" for item in block)
    Path(folder, f"{os.getpid()} {time.monotonic_ns()}").write_text(text)


def noted(folder):
    """Process and items of each block."""
    return [(f.name.split()[0], f.read_text().split()) for f in sorted(folder.iterdir())]


@pytest.mark.parametrize("number", [0, 1, 4, 5, 100])
def test_each_item_is_worked_on_once_by_processes(tmp_path, processes, number):
    run_blocks(functools.partial(note, folder=tmp_path), range(number), title="Counting", size=7)
    blocks = [block for _, block in noted(tmp_path)]
    assert sorted(int(item) for block in blocks for item in block) == list(range(number))
    assert all(len(block) <= 7 for block in blocks)


def test_short_work_stays_in_this_process(tmp_path):
    run_blocks(functools.partial(note, folder=tmp_path), range(50), title="Counting")
    assert {process for process, _ in noted(tmp_path)} == {str(os.getpid())}


def test_long_work_leaves_this_process(tmp_path, processes):
    run_blocks(functools.partial(note, folder=tmp_path), range(50), title="Counting")
    found = noted(tmp_path)
    assert {process for process, _ in found} > {str(os.getpid())}
    assert len(found) >= 8  # enough blocks for all


def fail(block):
    if 30 in block:
        raise ValueError("item 30 is broken")


def test_what_goes_wrong_in_a_process_is_told(processes):
    with pytest.raises(ValueError, match="item 30 is broken"):
        run_blocks(fail, range(50), title="Failing")


def test_commands_that_start_together_share_the_work(tmp_path):
    (tmp_path / "notes").mkdir()
    context = multiprocessing.get_context("spawn")
    commands = [context.Process(target=run_locally, args=(tmp_path, 0.05)) for _ in range(2)]
    for command in commands:
        command.start()
    for command in commands:
        command.join()
    assert [command.exitcode for command in commands] == [0, 0]
    assert len({process for _, process, *_ in notes(tmp_path / "notes")}) == 2
    assert len(ITEMS) <= len(notes(tmp_path / "notes")) < 1.6 * len(ITEMS)
    assert_each_once(opened(tmp_path))


def test_batches_hold_everything_in_order():
    assert [list(batch) for batch in batches(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


def die_elsewhere(block, *, parent):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_told_of_in_one_sentence(processes):
    work = functools.partial(die_elsewhere, parent=os.getpid())
    with pytest.raises(UserError, match=r"^Counting: a process was killed, .* memory"):
        run_blocks(work, range(40), title="Counting")
