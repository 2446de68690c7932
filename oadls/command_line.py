"""What people type: paths and names as they are, where Hydra would want quotes.

Hydra reads VALUE of KEY=VALUE by a grammar of its own, which refuses ~, (, [, =, # and every letter
that is not of English. Paths and names are texts whatever they look like; for any other setting
the user is shown how to write it.
"""

import os
import re
import shlex
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from oadls.errors import UserError
from oadls.paths import PATHS

NAMES = ("name", "data.name", "data.positive")
LISTS = ("data.classes",)
ITEM = re.compile(r"""'[^']*'|"[^"]*"|[^,'"]+""")
COLUMNS = "data.columns."  # what the columns of a table are called
APPENDED = ("experiment", "sweep")  # groups that no config has from the start
# flags of Hydra's that take the next argument
TAKES_VALUE = {"--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"}
TAKES_VALUE |= {"--package", "-p", "--cfg", "-c", "--info", "-i", "--experimental-rerun"}


def understood(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command as Hydra reads them; what Hydra reads rightly stays as it is.

    raises UserError that shows how to write what cannot be read
    """
    flags = {argument for argument in arguments if argument.startswith("-")}
    multirun = bool(flags & {"-m", "--multirun"})
    before = ["", *arguments]
    return [
        argument
        if argument.startswith("-") or previous in TAKES_VALUE
        else _append(_understood(argument, multirun=multirun), flags)
        for previous, argument in zip(before, arguments, strict=False)
    ]


def _understood(argument: str, *, multirun: bool) -> str:
    key, equals, value = argument.partition("=")
    name, read = key.lstrip("+"), _read(argument)
    if name in (*PATHS, *NAMES) or name.startswith(COLUMNS):
        return _as_text(argument, read, is_path=name in PATHS, multirun=multirun)
    if read is not None:
        return argument
    if not equals:
        raise UserError(
            f"settings are KEY=VALUE, as in +experiment=quickstart; {argument!r} is none"
        )
    better = f"{key}={_list(value) if _is_list(value) else _quoted(value, Quote.double)}"
    if name in LISTS and _read(better):
        return better
    raise UserError(f"{argument}: Hydra reads this value in quotes alone: {shlex.quote(better)}")


def _as_text(argument: str, read: Override | None, *, is_path: bool, multirun: bool) -> str:
    """The argument, in quotes where Hydra would not take its value for that text; ~ expanded."""
    key, _, value = argument.partition("=")
    if read is None or _is_misread(read, multirun=multirun):
        text = value.strip()
    elif is_path and isinstance(read.value(), str) and str(read.value()).startswith("~"):
        text = str(read.value())
    else:
        return argument
    text = os.path.expanduser(text) if is_path else text
    kind = Quote.double if "'" in text else Quote.single  # as YAML reads it in a sweep's settings
    return f"{key}={_quoted(text, kind)}"


def parse(line: str) -> Override:
    """A word of a command line as Hydra reads it; raises HydraException for what it refuses."""
    return OverridesParser.create().parse_override(line)


def named(line: str) -> str:
    """What a word of a command line sets, as a sweep names it."""
    return parse(line).get_key_element()


def argument(name: str, value: Any) -> str:
    """NAME=VALUE as Hydra reads it back; a text may hold what Hydra would split or refuse.

    "null" and "[1, 2]" are none and a list, as in Hydra's own sweepers.
    """
    line = f"{name}={value}"
    if not isinstance(value, str):
        return line
    read = _read(line)
    if read is None or read.is_sweep_override() or _is_other_text(read, value):
        return f"{name}={_quoted(value, Quote.single)}"
    return line


def _is_other_text(read: Override, text: str) -> bool:
    return isinstance(read.value(), str) and read.value() != text


def _read(line: str) -> Override | None:
    try:
        return parse(line)
    except HydraException:
        return None


def _is_misread(read: Override, *, multirun: bool) -> bool:
    """Whether Hydra takes a text for a number, a list or, in a single run, for a choice."""
    if read.is_delete():
        return False
    value = read.value()
    if isinstance(value, ChoiceSweep):
        return bool(value.simple_form) and not multirun
    return isinstance(value, (int, float, list, dict)) and not isinstance(value, bool)


def _is_list(value: str) -> bool:
    return value.startswith("[") and value.endswith("]")


def _list(value: str) -> str:
    """[a,b] with its texts in quotes."""
    texts = [text.strip() for text in ITEM.findall(value[1:-1])]
    quoted = [t if t[0] in "'\"" else _quoted(t, Quote.double) for t in texts if t]
    return f"[{','.join(quoted)}]"


def _quoted(text: str, kind: Quote) -> str:
    return QuotedString(text, kind).with_quotes()


def _append(argument: str, flags: set[str]) -> str:
    """`experiment=NAME` as `+experiment=NAME`, which is how Hydra wants it."""
    group = re.split(r"[/=]", argument, maxsplit=1)[0]
    own = flags & {"--config-name", "-cn"}  # a config of the user's, who may have it from the start
    return f"+{argument}" if group in APPENDED and not own else argument
