"""Patients, images and near-duplicates on two sides of a split are found and counted."""

import pandas as pd

from oadls.data.split import Split
from oadls.leakage.identity import trained_share, two_sides

PAIRS = ["name_a", "name_b", "kind", "distance", "similarity", "same_label"]
NO_PAIRS = pd.DataFrame(columns=PAIRS)


def cells(patients: str, *, groups: str = "", digests: str = "") -> pd.DataFrame:
    """A cell for each letter."""
    names = [f"c{i}" for i in range(len(patients))]
    return pd.DataFrame(
        {
            "name": names,
            "patient": list(patients),
            "group": list(groups or patients),
            "pixels_sha256": list(digests or map(str, range(len(patients)))),
        },
        dtype=object,
    )


def split(sides: str, *, fold: int = 0) -> Split:
    """t trains, v validates, s tests, - is unused."""
    side = [{"t": "train", "v": "val", "s": "test", "-": ""}[letter] for letter in sides]
    return Split("rule", fold, pd.Series(side, index=[f"c{i}" for i in range(len(side))]))


def test_whole_patients_are_no_finding() -> None:
    found = two_sides(cells("PPQQRR"), [split("ttvvss"), split("ssttvv", fold=1)], NO_PAIRS)
    assert found.findings == []
    assert found.tables["leaks"].empty


def test_a_patient_on_two_sides_of_any_fold_is_found() -> None:
    found = two_sides(cells("PPQQ"), [split("ttss"), split("tsts", fold=1)], NO_PAIRS)
    assert "2 of 2 patients on two sides" in found.findings[0].what
    assert "50% of its test cells" in found.findings[0].what
    leaks = found.tables["leaks"]
    assert set(leaks["split"]) == {"fold_1"}
    assert set(leaks["sides"]) == {"train and test"}


def test_the_trained_share_counts_test_cells_whose_patient_is_trained_on() -> None:
    table = cells("PPQQRR")
    table.loc[5, "patient"] = None
    assert trained_share(table, [split("tsvsss")]) == 1 / 4


def test_one_person_under_two_names_on_two_sides_is_found() -> None:
    found = two_sides(cells("PPQQ", groups="GGGG"), [split("ttss")], NO_PAIRS)
    (only,) = found.findings
    assert "1 person on two sides" in only.what
    assert only.what.endswith("under two names: G")


def test_identical_images_on_two_sides_are_found() -> None:
    found = two_sides(cells("PQRS", digests="xxyz"), [split("tsts")], NO_PAIRS)
    assert [finding.what for finding in found.findings] == [
        "1 identical image on two sides of the split rule"
    ]


def test_near_duplicates_on_two_sides_are_found() -> None:
    pairs = pd.DataFrame([("c0", "c1", "near", 9, 0.9, True)], columns=PAIRS)
    apart = two_sides(cells("PQRS"), [split("tsts")], pairs)
    together = two_sides(cells("PQRS"), [split("ttss"), split("t-ss", fold=1)], pairs)
    assert "1 pair of near-duplicates" in apart.findings[0].what
    assert together.findings == []
