"""What a check leaves behind."""

from dataclasses import dataclass, field

import pandas as pd

LISTED = 8  # how many names a finding spells out; its table has all of them


@dataclass(frozen=True)
class Finding:
    """One fault: what was found (with its numbers), why it matters, what to do about it."""

    check: str
    what: str
    why: str
    advice: str


@dataclass(frozen=True)
class Outcome:
    """The findings of a check, its evidence by name of the table, and what it could not look at."""

    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    not_done: list[str] = field(default_factory=list)


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 patient", "3 patients"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
