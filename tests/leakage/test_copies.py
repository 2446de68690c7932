"""One cell under two names is found, counted for each pair of patients, and listed."""

import pandas as pd
import pytest

from oadls.data.duplicates import group_duplicates
from oadls.leakage.copies import duplicates, shared_images

COLUMNS = ["name", "patient", "label", "part", "pixels_sha256"]


def found_in(rows: list[tuple], *, near: tuple[tuple[str, str], ...] = ()):
    """The outcome for (name, patient, label, part, content); near pairs are given."""
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object).assign(path="")
    table, pairs = group_duplicates(table)
    label = table.set_index("name")["label"]
    more = [(a, b, "near", 9, 0.9, label[a] == label[b]) for a, b in near]
    pairs = pd.concat([pairs, pd.DataFrame(more, columns=pairs.columns)] if more else [pairs])
    return duplicates(table, pairs)


def test_nothing_twice_is_no_finding() -> None:
    found = found_in([("a", "P", "all", "one", "x"), ("b", "Q", "all", "two", "y")])
    assert found.findings == []
    assert found.tables["pairs"].empty
    assert found.tables["shared"].empty


def test_copies_within_one_patient_are_no_finding() -> None:
    assert found_in([("a", "P", "all", "one", "x"), ("b", "P", "all", "two", "x")]).findings == []


def test_images_shared_by_two_patients_are_counted_once_an_image() -> None:
    rows = [(f"p{i}", "51", "all", "one", str(i)) for i in range(3)]
    rows += [(f"q{i}", "78", "all", "one", str(i)) for i in range(2)]
    rows += [("again", "78", "all", "one", "0"), ("r", "75", "all", "one", "2")]
    found = found_in(rows)
    shared = found.tables["shared"]
    assert shared[["patient_a", "patient_b", "identical"]].to_numpy().tolist() == [
        ["51", "78", 2],
        ["51", "75", 1],
    ]
    (only,) = found.findings
    assert "share 3 identical images, in 1 group: 51+75+78 (51=78: 2, 51=75: 1)" in only.what


def test_patients_that_share_an_image_across_parts_are_said_to_be_separated() -> None:
    found = found_in([("a", "P", "all", "one", "x"), ("b", "Q", "all", "two", "x")])
    assert (
        "the set's own parts separate 1 of these groups: P+Q (one, two)" in found.findings[1].what
    )


def test_near_duplicates_of_two_patients_are_found_in_either_order() -> None:
    rows = [("a", "Q", "all", "one", "x"), ("b", "P", "all", "one", "y")]
    found = found_in(rows, near=(("a", "b"),))
    assert "P=Q: 1 near" in found.findings[0].what


def test_copies_without_patients_are_counted_as_pairs() -> None:
    rows = [(name, None, "all", "one", name[0]) for name in ("a1", "a2", "b", "c")]
    found = found_in(rows, near=(("b", "c"),))
    (only,) = found.findings
    assert "2 pairs of images without a known patient (1 identical, 1 near)" in only.what
    assert "a1 = a2" in only.what


@pytest.mark.parametrize("patients", [("P", "P"), ("P", "Q"), (None, None)])
def test_one_image_with_two_labels_is_found_whoever_it_belongs_to(patients: tuple) -> None:
    rows = [("a", patients[0], "all", "one", "x"), ("b", patients[1], "normal", "one", "x")]
    assert "1 cell with two labels: a = b" in found_in(rows).findings[-1].what


def test_near_duplicates_with_two_labels_are_found() -> None:
    rows = [("a", "P", "all", "one", "x"), ("b", "Q", "normal", "one", "y")]
    found = found_in(rows, near=(("a", "b"),))
    assert "1 cell with two labels: a = b" in found.findings[-1].what


def test_an_unknown_label_contradicts_nothing() -> None:
    rows = [("a", "P", "all", "one", "x"), ("b", "Q", None, "one", "x")]
    assert len(found_in(rows).findings) == 1


def test_three_patients_of_one_image_share_it_pair_by_pair() -> None:
    table = pd.DataFrame(
        [(n, n, "all", "one", "x") for n in "abc"], columns=COLUMNS, dtype=object
    ).assign(path="")
    table, pairs = group_duplicates(table)
    assert len(shared_images(table, pairs)) == 3
