"""Commands that run side by side, each alone in its place, whatever becomes of the one that asked.

A command holds the lock of its place until it ends, even when the process that started it has been
killed: one that asks again waits for it, and never runs it twice at once.
"""

import fcntl
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from oadls.errors import UserError

PAUSE = 0.1  # seconds between two looks at what runs
GRACE = 10.0  # seconds to end in after SIGTERM
Event = Literal["started", "waiting", "ended"]


@dataclass(frozen=True)
class Job:
    """A place that a command works in.

    place : its lock is place.lock, what it prints is added to place.log
    command : asked once the place is ours; what to run there, None where all is done, UserError
        where nothing may run
    """

    place: Path
    command: Callable[[], Sequence[str] | None]

    @property
    def log(self) -> Path:
        """What the command printed, this time and before."""
        return self.place.with_name(f"{self.place.name}.log")


@dataclass(frozen=True)
class Ending:
    """How a job ended here.

    status : exit status, negative for that signal; None where nothing had to run, or may
    fault : why nothing may run
    begin : where in the log this time's print begins
    """

    status: int | None = None
    fault: str = ""
    seconds: float = 0.0
    begin: int = 0


Tell = Callable[[Event, Job, Ending], None]


@dataclass(frozen=True)
class _Running:
    job: Job
    process: subprocess.Popen
    start: float
    begin: int


def run_jobs(jobs: Sequence[Job], *, number: int, threads: int, tell: Tell) -> None:
    """Run the commands, `number` at a time, until all have ended; they end with this process.

    threads : of each command
    tell : is told of each job that is started, waits for another process, or has ended
    """
    left, running = list(jobs), list[_Running]()
    held: set[Path] = set()  # of which was told that another process has them
    with _ended_with(running):
        while left or running:
            for job in list(left):
                if len(running) == number:
                    break
                handle = lock(job.place.with_name(f"{job.place.name}.lock"))
                if handle is not None:
                    left.remove(job)
                    running += _start(job, handle, threads, tell)
                elif job.place not in held:
                    held.add(job.place)
                    tell("waiting", job, Ending())
            if left or running:
                time.sleep(PAUSE)
            _reap(running, tell)


def _reap(running: list[_Running], tell: Tell) -> None:
    for each in list(running):
        status = each.process.poll()
        if status is not None:
            running.remove(each)
            seconds = time.monotonic() - each.start
            tell("ended", each.job, Ending(status, seconds=seconds, begin=each.begin))


def lock(file: Path) -> int | None:
    """The handle of an open file whose lock is now ours; None while another process has it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _start(job: Job, handle: int, threads: int, tell: Tell) -> list[_Running]:
    """Start what is to be run in a place whose lock we have, and leave the lock to it alone."""
    try:
        command = job.command()
        if command is None:
            tell("ended", job, Ending())
            return []
        begin = job.log.stat().st_size if job.log.is_file() else 0
        start = time.monotonic()
        process = _open(command, job.log, handle, threads)
    except UserError as error:
        tell("ended", job, Ending(fault=str(error)))
        return []
    finally:
        os.close(handle)
    tell("started", job, Ending())
    return [_Running(job, process, start, begin)]


def _open(command: Sequence[str], log: Path, handle: int, threads: int) -> subprocess.Popen:
    with log.open("ab") as printed:
        printed.write(f"$ {shlex.join(command)}\n".encode())
        printed.flush()
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "HYDRA_FULL_ERROR": "1"},
            pass_fds=(handle,),  # the lock lives as long as the command
            start_new_session=True,  # Ctrl-C comes to us, and we end it in order
        )


@contextmanager
def _ended_with(running: list[_Running]) -> Iterator[None]:
    """End what runs when this process is interrupted or told to end."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        for each in running:
            _signal(each.process, signal.SIGTERM)
        until = time.monotonic() + GRACE
        for each in running:
            try:
                each.process.wait(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(each.process, signal.SIGKILL)
                each.process.wait()
        signal.signal(signal.SIGTERM, before)


def _signal(process: subprocess.Popen, number: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)
