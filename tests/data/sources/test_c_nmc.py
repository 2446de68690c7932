import csv
import logging

import pytest

from oadls.data.sources import c_nmc
from oadls.data.sources.c_nmc import load
from oadls.errors import UserError

TRAINING = "C-NMC_Leukemia/training_data"
PRELIM = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
FINAL = "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data"


def label_file(root, *rows):
    path = root / f"{PRELIM}_labels.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["Patient_ID,new_names,labels", *rows]))


def test_fold_1_is_whole_and_agrees_with_the_manifest(data_dir):
    cells = load(root=data_dir / "c-nmc", parts=["fold_1"])
    with (data_dir / "c-nmc" / "manifest.tsv").open() as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if "fold_1" in r["path"]]
    wanted = {
        r["path"].removeprefix("C-NMC_Leukemia/").removesuffix(".webp"): (
            r["label"].replace("hem", "normal"),
            r["subject"].upper(),
        )
        for r in rows
    }
    table = cells.table.set_index("name")
    assert (
        dict(zip(table.index, zip(table["label"], table["patient"], strict=True), strict=True))
        == wanted
    )
    assert table["patient"].nunique() == 14


def test_a_partial_set_loads_and_says_so(data_dir, caplog):
    with caplog.at_level(logging.INFO):
        cells = load(root=data_dir / "c-nmc")
    assert set(cells.table["part"]) == {"fold_0", "fold_1", "fold_2", "prelim", "final"}
    assert "part prelim is partial, 1865 of its images are missing" in caplog.text
    assert "part fold_2 has 12 images" in caplog.text
    assert cells.excluded.empty
    final = cells.table[cells.table["part"] == "final"]
    assert final["label"].isna().all()
    assert final["patient"].isna().all()


def test_the_patient_of_a_numbered_image_comes_from_the_label_file(data_dir):
    cells = load(root=data_dir / "c-nmc", parts=["prelim"])
    table = cells.table.set_index("name")
    with (data_dir / "c-nmc" / f"{PRELIM}_labels.csv").open() as file:
        rows = {r["new_names"]: r for r in csv.DictReader(file)}
    for number in ("8", "10"):
        row = table.loc[f"{PRELIM.removeprefix('C-NMC_Leukemia/')}/{number}"]
        assert row["patient"] == rows[f"{number}.bmp"]["Patient_ID"].split("_")[1]
        assert (row["label"] == "all") == (rows[f"{number}.bmp"]["labels"] == "1")


def test_root_may_be_the_folder_or_the_one_above(touch):
    root = touch(f"{TRAINING}/fold_0/all/UID_12_1_1_all.bmp")
    above, itself = load(root=root), load(root=root / "C-NMC_Leukemia")
    assert above.table.equals(itself.table)
    assert above.table["name"].item() == "training_data/fold_0/all/UID_12_1_1_all"


def test_h12_and_12_are_two_people_and_h3_is_one(touch):
    root = touch(
        f"{TRAINING}/fold_0/all/UID_12_1_1_all.bmp",
        f"{TRAINING}/fold_0/hem/UID_H12_1_1_hem.png",
        f"{TRAINING}/fold_0/hem/UID_h3_1_1_hem.webp",
        f"{TRAINING}/fold_2/hem/UID_H3_1_2_hem.bmp",
    )
    table = load(root=root).table
    assert table["patient"].tolist() == ["12", "H12", "H3", "H3"]
    assert table["label"].tolist() == ["all", "normal", "normal", "normal"]


def test_a_copy_beside_the_original_is_one_cell(touch):
    stem = f"{TRAINING}/fold_0/all/UID_12_1_1_all"
    cells = load(root=touch(f"{stem}.webp", f"{stem}.bmp"))
    assert cells.table["path"].item().endswith(".bmp")
    assert len(cells.excluded) == 1


@pytest.mark.parametrize(
    "name",
    ["all/UID_H12_1_1_hem.bmp", "all/UID_H12_1_1_all.bmp", "hem/UID_1_1_1_hem.bmp", "all/x.bmp"],
)
def test_a_name_that_contradicts_its_folder_is_left_out(touch, name):
    root = touch(f"{TRAINING}/fold_0/all/UID_12_1_1_all.bmp", f"{TRAINING}/fold_0/{name}")
    cells = load(root=root)
    assert len(cells.table) == 1
    assert cells.excluded["path"].item().endswith(name)


def test_a_label_without_an_image_and_an_image_without_a_label_are_recorded(touch):
    root = touch(*(f"{PRELIM}/{n}.bmp" for n in (1, 2, 4)))
    label_file(
        root,
        "UID_57_1_1_all.bmp,1.bmp,1",
        "UID_H30_1_1_hem.bmp,2.bmp,0",
        "UID_57_1_2_all.bmp,3.bmp,1",
    )
    cells = load(root=root)
    assert cells.table["patient"].tolist() == ["57", "H30"]
    reasons = dict(zip(cells.excluded["path"].str[-5:], cells.excluded["reason"], strict=True))
    assert reasons["3.bmp"] == "a label without an image"
    assert reasons["4.bmp"].startswith("no row in")


def test_a_label_that_contradicts_the_real_name_is_left_out(touch):
    root = touch(f"{PRELIM}/1.bmp", f"{PRELIM}/2.bmp")
    label_file(root, "UID_57_1_1_all.bmp,1.bmp,0", "UID_H30_1_1_hem.bmp,2.bmp,0")
    assert load(root=root).excluded["reason"].item().endswith("of class hem")


@pytest.mark.parametrize(
    ("rows", "message"),
    [(["a,1.bmp,2"], "label 0 or 1"), (["a,1.bmp,1", "b,1.bmp,0"], "label 0 or 1")],
)
def test_a_broken_label_file_is_refused(touch, rows, message):
    root = touch(f"{PRELIM}/1.bmp")
    label_file(root, *rows)
    with pytest.raises(UserError, match=message):
        load(root=root)


def test_a_missing_label_file_is_named(touch):
    with pytest.raises(UserError, match=r"labels\.csv, which is not there"):
        load(root=touch(f"{PRELIM}/1.bmp"))


def test_a_part_asked_for_must_be_there(touch):
    root = touch(f"{FINAL}/1.bmp")
    with pytest.raises(UserError, match="part fold_1 has no usable image"):
        load(root=root, parts=["fold_1"])
    with pytest.raises(UserError, match=r"parts are fold_0, .*, not fold_7"):
        load(root=root, parts=["fold_7"])


def test_an_empty_folder_says_how_to_get_the_set(tmp_path):
    with pytest.raises(UserError, match=r"kaggle\.com/datasets/andrewmvd/leukemia-classification"):
        load(root=tmp_path)
    with pytest.raises(UserError, match=r"unzip, and set data\.root"):
        load(root=tmp_path / "nowhere")


def test_a_download_is_checked_before_it_is_listed(touch, monkeypatch):
    root = touch(f"{TRAINING}/fold_0/all/UID_12_1_1_all.bmp")
    monkeypatch.setattr(c_nmc, "download", lambda: root)
    with pytest.raises(
        UserError, match="not whole: training_data/fold_0/all has 1 images, not 2397"
    ):
        load(root=None, download=True)
