"""What a run's report claims of the two reporting checklists."""

from importlib.resources import files
from typing import Any

import pytest
import yaml

SECTIONS = {
    "headline",
    "data",
    "method",
    "scores",
    "patients",
    "uncertainty",
    "calibration",
    "abstention",
    "explain",
    "mistakes",
    "card",
}
FILES = {
    "config.yaml",
    "metrics.json",
    "predictions.csv",
    "cells.csv",
    "excluded.csv",
    "history.csv",
    "floors.csv",
    "checkpoints/",
    "report.html",
}
LETTERS = {  # of the TRIPOD+AI items that have any
    3: "abc",
    5: "ab",
    6: "abc",
    8: "abc",
    9: "abc",
    12: "abcdefg",
    18: "abcdef",
    20: "abc",
    23: "ab",
    27: "abc",
}
NUMBERS = {
    "tripod_ai": [f"{n}{letter}" for n in range(1, 28) for letter in LETTERS.get(n, [""])],
    "claim_2024": [str(n) for n in range(1, 45)],
}
LISTS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (files("oadls.report") / "checklist.yaml").read_text(encoding="utf-8")
)
ENTRIES = [
    pytest.param(entry, id=f"{name}-{entry['item']}")
    for name, entries in LISTS.items()
    for entry in entries
]


def is_file(where: str) -> bool:
    return where in FILES or (where.startswith("tables/") and where.endswith(".csv"))


def test_there_are_two_checklists_with_the_published_number_of_items() -> None:
    assert {name: len(entries) for name, entries in LISTS.items()} == {
        "tripod_ai": 52,
        "claim_2024": 44,
    }


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_is_there_once_and_in_order(name: str) -> None:
    assert [entry["item"] for entry in LISTS[name]] == NUMBERS[name]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_has_its_keys_and_fits_its_line(entry: dict[str, Any]) -> None:
    assert list(entry) == ["item", "topic", "asks", "answer", "where", "note"]
    for key in ("item", "topic", "asks", "note"):
        assert isinstance(entry[key], str)
        assert entry[key] == entry[key].strip()
        assert "\n" not in entry[key]
    assert entry["topic"]
    assert 0 < len(entry["asks"]) <= 110
    assert len(entry["note"]) <= 90


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_answer_points_at_the_run_or_says_that_it_is_open(entry: dict[str, Any]) -> None:
    match entry["answer"]:
        case "section":
            assert entry["where"] in SECTIONS
        case "file":
            assert is_file(entry["where"])
        case "open":
            assert entry["where"] is None
            assert entry["note"], "who must answer?"
        case other:
            pytest.fail(f"no such answer: {other}")


@pytest.mark.parametrize("name", NUMBERS)
def test_what_no_run_can_know_is_left_open(name: str) -> None:
    still = [entry for entry in LISTS[name] if entry["answer"] == "open"]
    assert len(still) >= len(LISTS[name]) / 4


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("tripod_ai", "5b 6a 8b 10 14 17 18a 18b 18c 18d 19 27b"),
        ("claim_2024", "11 13 14 16 18 21 33 34 36 44"),
    ],
)
def test_ethics_funding_annotators_and_the_like_are_never_claimed(name: str, numbers: str) -> None:
    answers = {entry["item"]: entry["answer"] for entry in LISTS[name]}
    assert {number: answers[number] for number in numbers.split()} == dict.fromkeys(
        numbers.split(), "open"
    )
