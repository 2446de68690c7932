"""The one error that a user is meant to read, and how entry points show it."""

import errno
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from oadls.stopping import stoppable

# what a machine refuses, whatever the program does
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO)


class UserError(Exception):
    """Something that the user can mend: a bad image, a wrong setting, a missing folder.

    The message names the thing, the rule and what came: "split: patient P7 is in train and test".
    """


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """What the machine refuses, and a signal that stops the command, as one sentence each."""
    try:
        with stoppable():
            yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{where}{error.strerror}") from error
    except MemoryError as error:
        raise UserError(f"out of memory ({error}); close other programs, or use less") from error


def tell_user(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Show a mistake in images or settings as its message, without a traceback, exit status 1."""

    @functools.wraps(task)
    def run(cfg: DictConfig) -> Any:
        try:
            with in_one_sentence():
                return task(cfg)
        except (UserError, InstantiationException, OmegaConfBaseException) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # one failed trial must not end a sweep
            print(f"oadls: {error}", file=sys.stderr)
            raise SystemExit(1) from None

    return run


def told(error: Exception) -> SystemExit:
    """Print the one sentence; returns what ends the command."""
    print(f"oadls: {error}", file=sys.stderr)
    return SystemExit(1)


def run_command(
    work: Callable[[dict[str, str]], Any],
    arguments: Sequence[str],
    *,
    usage: str,
    takes: Callable[[dict[str, str]], bool],
) -> int:
    """Work on the KEY=VALUE arguments of a command that Hydra does not run.

    takes : whether these are settings that the command has, beside `trust` (oadls/trust.py)
    returns the exit status: 0, 1 after the message of a UserError, 2 after the usage
    """
    from oadls.passwords import refuse_passwords
    from oadls.trust import as_names, trusting  # they raise this module's error

    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    names = as_names(settings.pop("trust", ""))
    if not takes(settings):
        print(usage, file=sys.stderr)
        return 2
    try:
        refuse_passwords(arguments)
        with in_one_sentence(), trusting(names):
            work(settings)
    except UserError as error:
        print(f"oadls: {error}", file=sys.stderr)
        return 1
    return 0
