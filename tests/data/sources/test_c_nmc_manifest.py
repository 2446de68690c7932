"""A list of files is read as cells: part from folders, patient and class from names."""

from pathlib import Path

import pytest

from oadls.data.collect import collect, duplicate_pairs
from oadls.data.sources.c_nmc_manifest import load
from oadls.errors import UserError

TRAIN = "C-NMC_Leukemia/training_data"
PRELIM = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
FINAL = "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data"
FILES = {
    f"{TRAIN}/fold_0/all/UID_20_1_1_all.bmp": "x",
    f"{TRAIN}/fold_2/all/UID_21_1_1_all.bmp": "x",
    f"{TRAIN}/fold_1/hem/UID_h3_1_1_hem.bmp": "y",
    f"{PRELIM}/1.bmp": "z",
    f"{FINAL}/1.bmp": "w",
    "C-NMC_Leukemia/validation_data/labels.csv": "v",
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "files.tsv"
    lines = ["path\tsha256\tsize", *(f"{name}\t{digest}\t9" for name, digest in FILES.items())]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\n")
    return path


def test_patients_classes_and_parts_come_from_names_and_folders(
    manifest: Path, labels: Path
) -> None:
    table = load(manifest=manifest, labels=labels).table.set_index("name")
    rows = table[["part", "patient", "label", "pixels_sha256"]].to_numpy().tolist()
    assert rows == [
        ["final", None, None, "w"],
        ["fold_0", "20", "all", "x"],
        ["fold_1", "H3", "normal", "y"],  # written h3
        ["fold_2", "21", "all", "x"],
        ["prelim", "57", "all", "z"],
    ]


def test_without_the_label_file_the_preliminary_test_has_no_patients(manifest: Path) -> None:
    table = load(manifest=manifest).table
    assert table[table["part"] == "prelim"]["patient"].isna().all()


@pytest.mark.usefixtures("own_cache")
def test_people_with_two_names_are_joined_without_an_image(manifest: Path) -> None:
    cells = collect(lambda: load(manifest=manifest), max_bad=0)
    assert set(cells.table["group"][cells.table["patient"].isin(["20", "21"])]) == {"20+21"}
    (pair,) = duplicate_pairs(cells.table).to_dict("records")
    assert pair["kind"] == "identical"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "it is not there"),
        ("path\tsize\na.bmp\t1", "sha256 missing"),
        ("path\tsha256\tsize\na.csv\tx\t1", "lists .bmp files"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "list.tsv").write_text(text)
    with pytest.raises(UserError, match=message):
        load(manifest=tmp_path / "list.tsv")
