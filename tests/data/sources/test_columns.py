"""A column that is called otherwise is asked for by its setting; what is not used is named."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oadls.data.sources.columns import OURS, looks_like, map_columns
from oadls.errors import UserError

PATIENTS = ["patient", "subject", "case", "donor", "person", "participant", "Paciente", "Fall"]
NUMBERS = ["", "id", "no", "number", "Nr.", "#", "name", "code"]
STRANGE = ["age", "sex", "image_width", "file_size", "stain", "hospital", "date", "patient_age"]


def frame(*columns: str) -> pd.DataFrame:
    return pd.DataFrame([["x"] * len(columns)], columns=list(columns))


def mapped(columns: list[str], **wanted: object) -> list[str]:
    return list(map_columns(frame(*columns), wanted, table=Path("cells.csv")).columns)


def case_of(name: str, kind: str) -> str:
    return {"lower": name.lower(), "upper": name.upper(), "title": name.title()}[kind]


@given(
    st.sampled_from(PATIENTS),
    st.sampled_from(NUMBERS),
    st.sampled_from(["", "_", "-", " ", "."]),
    st.sampled_from(["lower", "upper", "title"]),
    st.booleans(),
)
def test_a_patient_under_any_name_is_asked_for(
    word: str, number: str, mark: str, kind: str, before: bool
) -> None:
    parts = [number, word] if before else [word, number]
    name = case_of(mark.join(part for part in parts if part), kind)
    if name == "patient":
        assert mapped(["path", "label", name]) == ["path", "label", "patient"]
        return
    with pytest.raises(UserError, match=r"data\.columns\.patient=") as asked:
        mapped(["path", "label", name])
    assert name in str(asked.value)
    assert "data.columns.patient=false" in str(asked.value)
    assert mapped(["path", "label", name], patient=name) == ["path", "label", "patient"]
    assert mapped(["path", "label", name], patient=False) == ["path", "label"]


@pytest.mark.parametrize(
    ("ours", "names"),
    {
        "path": ["file", "File Name", "imagePath", "ImageID", "img", "Bilddatei", "文件名", "画像"],
        "label": ["class", "Cell Type", "Diagnosis", "category_id", "y", "Klasse", "lable", "标签"],
        "mask": ["Mask", "mask_path", "segmentation", "maske", "segMask", "掩码"],
        "patient": [
            "pateint",
            "Patient's ID",
            "Patient (anon.)",
            "患者ID",
            "Pat.-Nr.",
            "MRN",
            "pid",
        ],
    }.items(),
)
def test_near_misses_of_every_column_are_known(ours: str, names: list[str]) -> None:
    others = {"path": "label", "label": "path"}.get(ours)
    for name in names:
        assert looks_like(ours, name), name
        there = [name, *([others] if others else ["path", "label"])]
        with pytest.raises(UserError, match=rf"data\.columns\.{ours}="):
            mapped(there)


@given(st.sampled_from(STRANGE), st.sampled_from(["lower", "upper", "title"]))
def test_other_columns_are_no_near_misses(name: str, kind: str) -> None:
    assert not any(looks_like(ours, case_of(name, kind)) for ours in OURS if ours != "part")


def test_two_candidates_are_both_named() -> None:
    with pytest.raises(UserError, match=r"patient=subject or data\.columns\.patient=\"'Case No'\""):
        mapped(["path", "label", "subject", "Case No"])


def test_a_table_that_has_patients_is_not_asked_for_them(caplog) -> None:
    assert mapped(["path", "label", "patient", "case", "age"]) == ["path", "label", "patient"]
    assert "columns of cells.csv that are not used: case, age" in caplog.text


@pytest.mark.parametrize(
    ("columns", "wanted", "message"),
    [
        (
            ["path", "label"],
            {"patient": "who"},
            "patient=who: cells.csv has no such column, it has",
        ),
        (["path", "label"], {"path": False}, "it cannot be false"),
        (["path", "size"], {}, "label missing, its columns are path, size"),
    ],
)
def test_what_cannot_be_is_refused(columns, wanted, message) -> None:
    with pytest.raises(UserError, match=message):
        mapped(columns, **wanted)


def test_numbers_name_columns_too() -> None:
    assert mapped(["0", "1"], path=0, label=1) == ["path", "label"]


@pytest.mark.parametrize("name", ["split", "Subset", "usage", "fold", "part", "comment"])
def test_a_column_that_looks_like_a_split_is_told_to_be_of_no_effect(name: str, caplog) -> None:
    values = pd.DataFrame(
        [["a.png", "all", "train"], ["b.png", "all", "Test"]], columns=["path", "label", name]
    )
    map_columns(values, {}, table=Path("cells.csv"))
    assert f"column {name} of cells.csv (test, train) looks like a split" in caplog.text
