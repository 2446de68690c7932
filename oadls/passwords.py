"""Passwords stay out of every file: Hydra and W&B write command lines down, a sweep its database.

A command line with a password in it is refused, before anything is written.
"""

import re
from collections.abc import Iterable

from oadls.errors import UserError

SECRET = r"(?:password|passwd|secret|token|api_?key)"
PATTERNS = (
    r"://[^:/@]*:([^@]+)@",  # scheme://user:password@host
    r"[?&]\w*password=([^&]+)",
    rf"^[^=]*{SECRET}=(.+)",
    rf"env_(?:set|copy)\b.*({SECRET})",  # Hydra resolves it before it writes it down
)
FROM_ENVIRONMENT = re.compile(r"""['"]?\$\{oc\.env:\w+\}['"]?""")
RULE = "a password in it would be written into files of the run"
WAYS = (
    "leave it out and set PGPASSWORD, or write it into ~/.pgpass, or give the whole address by "
    "'${oc.env:NAME}'"
)


def holds_password(text: str) -> bool:
    """Whether a setting, or an address in it, has a password in clear."""
    found = [each for pattern in PATTERNS for each in re.findall(pattern, text, re.IGNORECASE)]
    return any(not FROM_ENVIRONMENT.fullmatch(each) for each in found)


def refuse_passwords(arguments: Iterable[str]) -> None:
    """UserError that names the setting whose value has a password; the value is not repeated."""
    for argument in arguments:
        if holds_password(argument):
            name, given, _ = argument.partition("=")
            what = name if given and "://" not in name else "arguments"
            raise UserError(f"{what}: {RULE}; {WAYS}")
