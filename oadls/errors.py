"""The one error that a user is meant to read, and how entry points show it."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class UserError(Exception):
    """Something that the user can mend: a bad image, a wrong setting, a missing folder.

    The message names the thing, the rule and what came: "split: patient P7 is in train and test".
    """

    def __str__(self) -> str:
        text = super().__str__()
        if text.startswith("Caught ") and "\nOriginal Traceback" in text:
            # PyTorch puts the traceback of a process that loads cells into the message
            return text.rstrip().rpartition("\n")[2].partition(": ")[2]
        return text


def tell_user(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Show a mistake in images or settings as its message, without a traceback, exit status 1."""

    @functools.wraps(task)
    def run(cfg: DictConfig) -> Any:
        try:
            return task(cfg)
        except (UserError, InstantiationException, OmegaConfBaseException) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # one failed trial must not end a sweep
            print(f"oadls: {error}", file=sys.stderr)
            raise SystemExit(1) from None

    return run


def run_command(
    work: Callable[[dict[str, str]], Any],
    arguments: Sequence[str],
    *,
    usage: str,
    takes: Callable[[dict[str, str]], bool],
) -> int:
    """Work on the KEY=VALUE arguments of a command that Hydra does not run.

    takes : whether these are settings that the command has
    returns the exit status: 0, 1 after the message of a UserError, 2 after the usage
    """
    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if not takes(settings):
        print(usage, file=sys.stderr)
        return 2
    try:
        work(settings)
    except UserError as error:
        print(f"oadls: {error}", file=sys.stderr)
        return 1
    return 0
