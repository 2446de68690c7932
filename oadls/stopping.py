"""A command that is told to stop (Ctrl-C, kill, scancel, docker stop) ends non-zero and says how
to go on.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(SystemExit):
    """Raised in the main thread when a signal tells the command to stop.

    code : exit status, 128 and the number of the signal, as a shell reports it
    way_on : how to go on, where the same command would not
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name
        self.way_on = ""

    def __str__(self) -> str:
        then = self.way_on or "give the same command again"
        return f"stopped by {self.name}; {then}"


def stop(number: int, frame: FrameType | None = None) -> None:
    """Signal handler: raises Stopped; a second signal ends the process at once."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGINT raise Stopped in this block, and it is told to the user."""
    if threading.current_thread() is not threading.main_thread():  # only that one hears signals
        yield
        return
    before = {each: signal.signal(each, stop) for each in SIGNALS}
    try:
        yield
    except Stopped as stopped:
        print(f"oadls: {stopped}", file=sys.stderr)
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def take_back() -> None:
    """Hear SIGTERM again after a library has put a handler of its own before ours.

    Lightning's waits for the other ranks, which may wait for this one.
    """
    if signal.getsignal(signal.SIGINT) is stop:
        signal.signal(signal.SIGTERM, stop)
