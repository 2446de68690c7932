"""The names of classes: as they stand in folders and tables, and as settings name them."""

import contextlib
import logging
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
import yaml
from hydra.errors import HydraException

from oadls.command_line import parse
from oadls.data.words import words
from oadls.errors import UserError

log = logging.getLogger(__name__)

UNKNOWN = words(  # words by which programs and people say that something is not known
    "nan none null nil na n/a n.a. n.a #n/a #na <na> nd n/d n.d. nat ? ?? - -- . .. missing "
    "unknown unlabelled unlabeled unclassified unbekannt inconnu desconocido sconosciuto "
    "anonymous anonym undefined not_available 未知 不明"
)


def name_class(setting: object, found: Collection[str], *, owner: str) -> str:
    """The class that a setting names: the text "1" for the number into which Hydra has made it.

    setting : text, or what Hydra or YAML have made of a name (1, 1.0, True of `yes`, 8 of `010`)
    found : the classes that there are
    returns one of `found` where there is one, else the setting as text
    raises UserError where several classes read as the same value
    """
    if isinstance(setting, str):
        return setting
    same = sorted(name for name in found if _key(setting) in _readings(name))
    if not same and isinstance(setting, int | float):
        same = sorted(name for name in found if _is_number(name, setting))
    if str(setting) in same:
        return str(setting)
    if len(same) > 1:
        raise UserError(
            f"{owner}: {setting!r} may be any of {', '.join(same)}: put the name in quotes, "
            f"{owner}=\"'{same[0]}'\""
        )
    return same[0] if same else str(setting)


def name_classes(
    settings: Sequence[object], found: Collection[str], *, owner: str = "data.classes"
) -> list[str]:
    """`name_class` of each; UserError where two of them are the same class."""
    names = [name_class(setting, found, owner=owner) for setting in settings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{owner}: each class stands once, {', '.join(twice)} is there twice")
    return names


def rename_labels(
    labels: Iterable[str | None],
    names: Mapping[Any, object] | Sequence[Sequence[object]] | None,
) -> list[str | None]:
    """Labels by the names that a setting gives them; UserError for one that no image has.

    names : label as it stands in the folders or the table -> class, or lists of labels that are
        one class, called as the first (Hydra takes no quotes before a colon); None leaves all as
        they are
    """
    labels = list(labels)
    if not names:
        return labels
    found = {label for label in labels if label is not None}
    if isinstance(names, Mapping):
        pairs = list(names.items())
    else:
        pairs = [(label, alike[0]) for alike in names if alike for label in alike]
    owner = "data.rename"
    new = {name_class(old, found, owner=owner): _named(name, found) for old, name in pairs}
    if unknown := sorted(set(new) - found - set(new.values())):
        raise UserError(
            f"data.rename: {', '.join(unknown)} is no label; there are {', '.join(sorted(found))}"
        )
    return [None if label is None else new.get(label, label) for label in labels]


def _named(name: object, found: Collection[str]) -> str:
    return name_class(name, found, owner="data.rename")


def forget_unknown(
    values: Iterable[str | None],
    *,
    column: str,
    missing: Collection[object] | None,
    named: Collection[str] = (),
) -> list[str | None]:
    """Values with None for the words that mean "not known".

    column : "label" or "patient"
    missing : the words that mean it; None asks where one of UNKNOWN is found
    named : words that are known to be names, such as the classes of a config
    """
    values = list(values)
    found = {value for value in values if value is not None}
    if missing is not None:
        unknown = {name_class(word, found, owner="data.missing") for word in missing} - set(named)
        return [None if value in unknown else value for value in values]
    doubtful = sorted(v for v in found if v.strip().lower() in UNKNOWN and v not in named)
    if doubtful:
        rows = sum(value in doubtful for value in values)
        listed = ",".join(f"'{word}'" for word in doubtful)
        raise UserError(
            f"data: {rows} of {len(values)} images have the {column} {', '.join(doubtful)}: set "
            f'data.missing="[{listed}]" if that means not known, data.missing=[] if it is a '
            f"{'class' if column == 'label' else 'patient'}"
        )
    return values


def refuse_near_labels(labels: Iterable[str | None], *, named: Collection[str] = ()) -> None:
    """UserError where two labels differ in case, blanks, hyphens or zeros alone.

    named : the classes of a config; two that are both named there are two
    """
    groups: dict[str, set[str]] = {}
    for label in {label for label in labels if label is not None}:
        groups.setdefault(_spelling(label), set()).add(label)
    for near in (sorted(group) for _, group in sorted(groups.items()) if len(group) > 1):
        if not set(near) <= set(named):
            alike = ",".join(f"'{name}'" for name in near)
            raise UserError(
                f"data: the labels {alike} differ in spelling alone: "
                f'data.rename="[[{alike}]]" makes one class of them, naming all of them in '
                "data.classes keeps them apart"
            )


def warn_near_patients(patients: Iterable[str | None]) -> None:
    """Say it where two patients differ in case, blanks, hyphens or zeros alone: perhaps one."""
    groups: dict[str, set[str]] = {}
    for patient in {patient for patient in patients if patient is not None}:
        groups.setdefault(_spelling(patient), set()).add(patient)
    near = sorted(", ".join(sorted(group)) for group in groups.values() if len(group) > 1)
    if near:
        log.warning(
            "data: %d patients are written in several ways, and count as several: %s%s",
            *(len(near), "; ".join(near[:5]), "; …" if len(near) > 5 else ""),
        )


def positive_of(setting: object, classes: Sequence[str]) -> str | None:
    """The class that data.positive names; None for none, or where nothing has a label.

    raises UserError where it is no class
    """
    if setting is None or not classes:
        return None
    name = name_class(setting, classes, owner="data.positive")
    if name not in classes:
        raise UserError(f"data.positive: one of the classes {', '.join(classes)}, not {setting}")
    return name


def classes_of(table: pd.DataFrame, classes: Any) -> list[str]:
    """The classes in the order of every probability: those of the config, else what is found.

    raises UserError for a label that the config does not name
    """
    found = sorted(table["label"].dropna().unique())
    names = name_classes(classes, found) if classes else found
    if unknown := sorted(set(found) - set(names)):
        raise UserError(f"data.classes: {', '.join(unknown)} found but not in {', '.join(names)}")
    return names


def check_trainable(table: pd.DataFrame, *, classes: Sequence[str]) -> None:
    """UserError unless there are two classes to tell apart, and a cell of each of them."""
    counts = table["label"].value_counts()
    if len(counts) < 2:
        only = f"all {counts.iloc[0]} are {counts.index[0]}" if len(counts) else "none has a label"
        raise UserError(f"data: training needs cells of two classes, {only}")
    if absent := [name for name in classes if name not in counts]:
        left = ",".join(f"'{name}'" for name in classes if name in counts)
        raise UserError(
            f"data.classes: training needs cells of every class, there is none of "
            f'{", ".join(absent)}: take it out, data.classes="[{left}]"'
        )


@cache
def _readings(name: str) -> frozenset[tuple[str, str]]:
    """What YAML and Hydra's command line make of a name, as comparable keys."""
    found = set()
    with contextlib.suppress(yaml.YAMLError):
        found.add(_key(yaml.safe_load(name)))
    with contextlib.suppress(HydraException):
        found.add(_key(parse(f"name={name}").value()))
    return frozenset(found)


def _key(value: object) -> tuple[str, str]:
    """Type and value: True is not 1, and NaN equals itself."""
    return type(value).__name__, repr(value)


def _is_number(name: str, number: float) -> bool:
    """Whether a name reads as a number of another kind: "1" for 1.0, "01" for 1."""
    try:
        return not isinstance(number, bool) and float(name) == number
    except ValueError:
        return False


def _spelling(name: str) -> str:
    """Equal for names that differ in case, blanks, hyphens, width or zeros alone."""
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    if number := re.fullmatch(r"([+-]?)0*(\d+)(?:\.0*)?", text):
        return number[1] + number[2]
    # "P-1" is P1, but 1-23 is not 12-3
    return re.sub(r"(?<=[^\W\d])[-_\s]+(?=\w)|(?<=\w)[-_\s]+(?=[^\W\d])", "", text)
