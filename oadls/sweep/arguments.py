"""Words of a command line, as Hydra reads them and as a sweep writes them."""

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException


def named(line: str) -> str:
    """What a word of a command line sets, as a sweep names it."""
    return parse(line).get_key_element()


def parse(line: str) -> Override:
    """A word of a command line as Hydra reads it."""
    return OverridesParser.create().parse_override(line)


def argument(name: str, value: Any) -> str:
    """A parameter of a trial as Hydra reads it back; a choice may hold what Hydra would split."""
    line = f"{name}={value}"
    if not isinstance(value, str):
        return line
    try:
        read = parse(line)
        # "null" and "[1, 2]" are none and a list, as in Hydra's own sweepers
        if not read.is_sweep_override() and (
            read.value() == value or not isinstance(read.value(), str)
        ):
            return line
    except HydraException:
        pass
    return f"{name}={QuotedString(value, Quote.single).with_quotes()}"
