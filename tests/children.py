"""Work in a child of this process, where limits and users can be changed for good."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any


def in_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """What work(*arguments) returns in a forked child, or the message of what it raises.

    Fails when a signal kills the child, or when it takes a minute.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def run() -> None:
        try:
            theirs.send(work(*arguments))
        except Exception as error:
            theirs.send(f"{type(error).__name__}: {error}")

    child = context.Process(target=run)
    child.start()
    theirs.close()
    try:
        assert ours.poll(60), "the child says nothing"
        return ours.recv()
    except EOFError:
        child.join(10)
        raise AssertionError(f"the child ended with {child.exitcode}") from None
    finally:
        child.kill()
        child.join()


def become_nobody() -> None:
    """Root, who runs CI, may write everywhere: give that up."""
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
