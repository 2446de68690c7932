"""Commands side by side: none runs twice at once, none is lost with another, all end with us."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oadls.errors import UserError
from oadls.jobs import Ending, Event, Job, lock, run_jobs
from oadls.rows import reason

PROGRAM = """
import signal, sys
from pathlib import Path
from oadls.jobs import Job, run_jobs
signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started with & is deaf to it
def command(place):
    return None if (place / "done").exists() else [sys.executable, "work.py", str(place)]
jobs = [Job(Path(name), lambda name=name: command(Path(name))) for name in sys.argv[1:]]
run_jobs(jobs, number=2, threads=3, tell=lambda event, job, end: print(event, job.place, end))
"""
WORK = """
import os, sys, time
from pathlib import Path
place = Path(sys.argv[1])
place.mkdir(exist_ok=True)
with (place / "started").open("a") as file:
    file.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\\n")
time.sleep(2)
(place / "done").touch()
"""
Told = list[tuple[Event, str, Ending]]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.Popen]:
    """Starts a command that runs two jobs at a time, in an empty working folder."""
    root = str(Path(__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", root)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "work.py").write_text(WORK)

    def start(*names: str) -> subprocess.Popen:
        command = [sys.executable, "program.py", *names]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    return start


def wait_for(file: Path) -> list[str]:
    until = time.monotonic() + 30
    while not (file.is_file() and file.read_text().endswith("\n")):
        assert time.monotonic() < until, f"{file} never came"
        time.sleep(0.02)
    return file.read_text().split()


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def shell(place: Path, script: str) -> Job:
    return Job(place, lambda: ["sh", "-c", script])


def run(*jobs: Job, number: int = 1) -> Told:
    told: Told = []
    run_jobs(jobs, number=number, threads=1, tell=lambda e, j, end: told.append((e, j.log, end)))
    return [each for each in told if each[0] == "ended"]


def test_what_runs_when_the_command_is_killed_goes_on_and_is_waited_for(program) -> None:
    first = program("a")
    wait_for(Path("a/started"))
    first.send_signal(signal.SIGKILL)
    first.wait()
    printed = program("a", "b").communicate(timeout=60)[0]
    assert "waiting a" in printed
    assert len(Path("a/started").read_text().splitlines()) == 1  # never a second time
    assert len(Path("b/started").read_text().splitlines()) == 1  # and b did not wait for it
    assert Path("a/done").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_commands_end_with_the_one_that_asked(program, number: signal.Signals) -> None:
    first = program("a")
    pid, threads = wait_for(Path("a/started"))
    assert threads == "3"
    first.send_signal(number)
    assert first.wait(timeout=30) != 0
    assert not is_alive(int(pid))
    assert not Path("a/done").exists()


def test_two_commands_share_the_work(program) -> None:
    pair = [program("a", "b", "c") for _ in range(2)]
    for each in pair:
        each.communicate(timeout=60)
    assert [len(Path(f"{name}/started").read_text().splitlines()) for name in "abc"] == [1, 1, 1]


def test_a_job_that_fails_loses_itself_only_and_says_why(tmp_path: Path) -> None:
    def refuse() -> list[str]:
        raise UserError("nothing may run here")

    user = "echo oadls: crop: size must be above 0 >&2; echo 'ResourceWarning: late' >&2; exit 1"
    crash = f"{sys.executable} -c \"raise ValueError('a broken row')\""
    jobs = [
        shell(tmp_path / "user", user),
        shell(tmp_path / "crash", crash),
        shell(tmp_path / "killed", "kill -9 $$"),
        Job(tmp_path / "refused", refuse),
        Job(tmp_path / "finished", lambda: None),
        shell(tmp_path / "fine", "echo fine"),
    ]
    endings = [end for _, _, end in run(*jobs)]
    assert [end.status for end in endings] == [1, 1, -signal.SIGKILL, None, None, 0]
    assert endings[3].fault == "nothing may run here"
    said = [reason(job.log, end) for job, end in zip(jobs[:3], endings[:3], strict=True)]
    assert said[:2] == ["crop: size must be above 0", "ValueError: a broken row"]
    assert said[2].startswith("killed by signal 9")


def test_only_what_is_printed_this_time_is_a_reason(tmp_path: Path) -> None:
    run(shell(tmp_path / "a", "echo oadls: before; exit 1"))
    ((_, log, end),) = run(shell(tmp_path / "a", "exit 3"))
    assert reason(log, end) == "exit status 3"
    assert "oadls: before" in log.read_text()  # nothing that was printed is lost


def test_a_lock_is_had_by_one_and_free_when_its_holder_ends(tmp_path: Path) -> None:
    held = lock(tmp_path / "deep" / "a.lock")
    assert held is not None
    assert lock(tmp_path / "deep" / "a.lock") is None
    os.close(held)
    again = lock(tmp_path / "deep" / "a.lock")
    assert again is not None
    os.close(again)


def test_so_many_run_at_a_time(tmp_path: Path) -> None:
    script = f"touch {tmp_path}/$$.on; ls {tmp_path} | grep -c on$; sleep 0.5; rm {tmp_path}/$$.on"
    jobs = [shell(tmp_path / name, script) for name in "abcd"]
    run(*jobs, number=2)
    seen = [int(job.log.read_text().splitlines()[-1]) for job in jobs]
    assert max(seen) == 2
