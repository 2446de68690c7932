"""How a command starts, and how it ends when something is wrong: with one sentence."""

import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from oadls.command_line import understood
from oadls.errors import UserError
from oadls.passwords import refuse_passwords
from oadls.paths import expand_home
from oadls.stopping import stoppable
from oadls.streams import accept_every_letter, speak_utf8, tell
from oadls.trust import as_names, trusting

Task = Callable[[DictConfig], Any]
# what a machine refuses, whatever the program does
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO)
FULL_ERROR = "HYDRA_FULL_ERROR"  # with it Hydra raises what it would print


def command(config: str) -> Callable[[Task], Callable[[], Any]]:
    """A command of Hydra's, python -m oadls.NAME KEY=VALUE ...

    config : its file of conf/
    """

    def start(task: Task) -> Callable[[], Any]:
        main = hydra.main(config_path="../conf", config_name=config)(_told(task))

        @functools.wraps(task)
        def run() -> Any:
            speak_utf8()
            accept_every_letter()
            try:
                refuse_passwords(sys.argv[1:])
                sys.argv[1:] = understood(sys.argv[1:])
                with _raising():
                    return main()
            except (UserError, CompactHydraException, OmegaConfBaseException) as error:
                tell(_short(error))
                raise SystemExit(1) from None

        return run

    return start


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
    accept_every_letter()
    pairs = [argument.split("=", 1) for argument in arguments if "=" in argument]
    settings = {key: os.path.expanduser(value) for key, value in pairs}
    names = as_names(settings.pop("trust", ""))
    if not takes(settings):
        print(usage, file=sys.stderr)
        return 2
    try:
        refuse_passwords(arguments)
        with in_one_sentence(), trusting(names):
            work(settings)
    except UserError as error:
        tell(error)
        return 1
    return 0


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


def _told(task: Task) -> Task:
    """Show a mistake in images or settings as its message, without a traceback, exit status 1."""

    @functools.wraps(task)
    def run(cfg: DictConfig) -> Any:
        accept_every_letter()  # also in a process that a launcher has started
        try:
            with in_one_sentence():
                expand_home(cfg)
                return task(cfg)
        except (UserError, InstantiationException, OmegaConfBaseException) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # one failed trial must not end a sweep
            tell(_short(error))
            raise SystemExit(1) from None

    return run


@contextmanager
def _raising() -> Iterator[None]:
    """Let Hydra raise what it would print over several lines."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FULL_ERROR]
        else:
            os.environ[FULL_ERROR] = before


def _short(error: Exception) -> Exception:
    """What Hydra and OmegaConf say over several lines, and of a value that a function refused."""
    text = str(error)
    if found := re.search(r"[Mm]issing mandatory value: ([\w.]+)", text):
        return UserError(f"{found[1]} is not given: add {found[1]}=...")
    if found := re.match(r"UserError raised while resolving interpolation: (.*)", text):
        return UserError(found[1])
    if isinstance(error, HydraException):
        return UserError(text.partition("Config search path")[0].strip().expandtabs(2))
    return error
