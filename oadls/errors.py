"""The one error that a user is meant to read, and how entry points show it."""

import functools
import sys
from collections.abc import Callable
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
