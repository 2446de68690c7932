import logging
import os

import pandas as pd
import pytest

from oadls.data.sources.folder import load
from oadls.errors import UserError


def table(root, text, name="cells.csv"):
    (root / name).write_text(text)
    return root / name


def test_a_folder_per_class_gives_the_labels(touch):
    root = touch("all/1.png", "all/deep/2.jpg", "normal/1.png", "blast/1.png", "readme.txt")
    cells = load(root=root).table
    assert dict(zip(cells["name"], cells["label"], strict=True)) == {
        "all/1": "all",
        "all/deep/2": "all",
        "blast/1": "blast",
        "normal/1": "normal",
    }
    assert cells["patient"].isna().all()


def test_a_flat_folder_has_no_labels(touch):
    assert load(root=touch("1.png", "2.png")).table["label"].tolist() == [None, None]


def test_folder_names_can_be_ignored(touch):
    cells = load(root=touch("monday/1.png", "tuesday/1.png"), class_folder=0).table
    assert cells["label"].isna().all()


def test_images_both_beside_and_in_class_folders_are_refused(touch):
    with pytest.raises(UserError, match=r"not both; 1 of 2 lie in it, 1\.png first"):
        load(root=touch("1.png", "all/2.png"))


@pytest.mark.parametrize("name", ["readme.txt", "folder/.hidden.png"])
def test_a_folder_without_images_is_refused(touch, name):
    with pytest.raises(UserError, match="at least one image"):
        load(root=touch(name))


def test_an_unknown_class_is_named_with_its_image(touch):
    root = touch("all/1.png", "other/7.png")
    with pytest.raises(UserError, match=r"classes are all, normal; .*7\.png has other"):
        load(root=root, classes=["all", "normal"])


def test_a_class_without_an_image_is_mentioned(touch, caplog):
    with caplog.at_level(logging.WARNING):
        load(root=touch("all/1.png"), classes=["all", "normal"])
    assert "no image of class normal" in caplog.text


def test_a_table_gives_labels_patients_parts_and_masks(touch, tmp_path):
    root = touch("images/a.png", "images/b.png", "masks/a.png")
    path = table(
        root / "images",
        "path,label,patient,part,mask,age\n"
        f"a.png,all,007,train,../masks/a.png,5\n{root}/images/b.png,NA,,,,6\n",
    )
    cells = load(root=root / "images", table=path, missing=[]).table
    assert cells["name"].tolist() == ["a", "b"]
    assert cells["label"].tolist() == ["all", "NA"]
    assert cells["patient"].tolist() == ["007", None]
    assert cells["group"].tolist() == ["007", "b"]
    assert cells["part"].tolist() == ["train", "all"]
    assert cells["mask"].notna().tolist() == [True, False]


def test_paths_may_be_relative_to_the_table(touch):
    root = touch("study/images/a.png", "elsewhere/b.png")
    path = table(root / "study", "path,label\nimages/a.png,all\n")
    cells = load(root=root / "elsewhere", table=path).table
    assert cells["name"].item().endswith("study/images/a")


@pytest.mark.parametrize("text", ["path;label\na.png;all\n", "\ufeffpath,label\na.png,all\n"])
def test_tables_as_spreadsheets_write_them_are_read(touch, text):
    root = touch("a.png")
    assert load(root=root, table=table(root, text)).table["label"].item() == "all"


def test_a_parquet_table_with_numbers_reads_as_text(touch):
    root = touch("a.png", "b.png")
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": [1, 2], "patient": [7.0, None]})
    frame.to_parquet(root / "cells.parquet")
    cells = load(root=root, table=root / "cells.parquet").table
    assert cells["label"].tolist() == ["1", "2"]
    assert cells["patient"].tolist() == ["7", None]


def test_a_row_without_an_image_is_recorded(touch):
    root = touch("a.png")
    cells = load(root=root, table=table(root, "path,label\na.png,all\nb.png,all\n"))
    assert len(cells.table) == 1
    assert cells.excluded["reason"].item() == "a row of cells.csv without an image"


def test_a_table_without_any_image_is_refused_with_its_rows(touch):
    root = touch("a.png")
    with pytest.raises(UserError, match=r"b\.png: a row of cells\.csv without an image"):
        load(root=root, table=table(root, "path,label\nb.png,all\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where,label\na.png,all\n", "path missing, its columns are where, label"),
        ("path,size\na.png,7\n", "label missing"),
        (
            "path,label\na.png,all\n./a.png,all\n",
            r"each image once; 1 stand in several rows: .*a\.png",
        ),
        ("path,label\na.png,all\n,all\n", "row 2 has none"),
        ("", "is a table with a header, it is empty"),
        ("path,label\na.png,all,7\n", "Expected 2 fields in line 2, saw 3"),
        ("path,label,path\na.png,all,b.png\n", "each column once, path is there twice"),
    ],
)
def test_a_broken_table_is_refused(touch, text, message):
    root = touch("a.png")
    with pytest.raises(UserError, match=message):
        load(root=root, table=table(root, text))


def test_a_missing_table_is_named(touch):
    with pytest.raises(UserError, match=r"no\.csv is a table, it is not there"):
        load(root=touch("a.png"), table="/nowhere/no.csv")


@pytest.mark.parametrize("path", ["all\\x.png", ".\\all\\x.png", "all/x.png", "./all/../all/x.png"])
def test_a_path_of_windows_is_the_file_under_slashes(touch, path):
    root = touch("all/x.png", "masks/x.png")
    cells = load(root=root, table=table(root, f"path,label,mask\n{path},all,masks\\x.png\n"))
    assert cells.table["path"].item() == str(root / "all" / "x.png")
    assert cells.table["name"].item() == "all/x"
    assert cells.table["mask"].item() == str(root / "masks" / "x.png")


def test_a_file_with_a_backslash_in_its_name_is_itself(touch):
    root = touch("all\\x.png", "all/x.png")
    cells = load(root=root, table=table(root, "path,label\nall\\x.png,all\n"))
    assert cells.table["path"].item() == f"{root}/all\\x.png"


def test_a_path_on_a_drive_of_windows_says_what_to_do(touch):
    root = touch("a.png")
    text = "path,label\na.png,all\nC:\\cells\\b.png,all\n"
    reason = load(root=root, table=table(root, text)).excluded["reason"].item()
    assert reason.endswith("make it relative to data.root)")


def test_a_table_never_makes_the_whole_root_be_walked(touch, monkeypatch):
    """Only the folders of the images that it names are looked into, and none below them."""
    names = ["study/a.png", "study/b.png", "study/deep/c.png", "other/d.png", "e.png"]
    root, opened, scandir = touch(*names), [], os.scandir

    def noted(place):
        opened.append(os.fspath(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", noted)
    monkeypatch.setattr(os, "walk", None)
    for path in (f"{root}/study/a.png", "study/a.png"):
        cells = load(root=root, table=table(root, f"path,label\n{path},all\n"))
        assert cells.left.to_dict("records") == [
            {"path": "study/b.png", "reason": "not in cells.csv"}
        ]
    assert set(opened) == {f"{root}/study"}


def test_a_mask_that_is_not_there_is_said(touch, caplog):
    root = touch("a.png", "b.png", "m.png")
    text = "path,label,mask\na.png,all,m.png\nb.png,all,gone.png\n"
    cells = load(root=root, table=table(root, text)).table
    assert cells["mask"].notna().tolist() == [True, False]
    assert "1 masks of cells.csv are not there, gone.png first" in caplog.text


def test_a_class_folder_may_be_a_link_and_an_empty_one_is_named(touch, tmp_path_factory):
    root, elsewhere = touch("all/1.png", "all/notes.txt"), tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "2.png").touch()
    (root / "hem").symlink_to(elsewhere)
    (root / "third" / "deep").mkdir(parents=True)
    cells = load(root=root)
    assert cells.table["label"].tolist() == ["all", "hem"]
    assert dict(cells.left.to_numpy()) == {
        "all/notes.txt": ".txt: no image",
        "third/": "no image in it",
    }


def test_words_for_not_known_and_near_labels_of_a_table_are_asked(touch):
    root = touch("a.png", "b.png")
    near = table(root, "path,label\na.png,ALL\nb.png,all\n")
    with pytest.raises(UserError, match="'ALL','all' differ in spelling alone"):
        load(root=root, table=near)
    assert set(load(root=root, table=near, rename={"ALL": "all"}).table["label"]) == {"all"}
    assert set(load(root=root, table=near, rename=[["x", "ALL", "all"]]).table["label"]) == {"x"}
    assert len(set(load(root=root, table=near, classes=["all", "ALL"]).table["label"])) == 2
    people = table(root, "path,label,patient\na.png,all,NA\nb.png,all,NA\n")
    with pytest.raises(UserError, match="2 of 2 images have the patient NA"):
        load(root=root, table=people)
    assert load(root=root, table=people, missing=["NA"]).table["group"].tolist() == ["a", "b"]
    assert load(root=root, table=people, missing=[]).table["group"].tolist() == ["NA", "NA"]


def test_columns_are_taken_by_the_name_that_the_setting_gives(touch):
    root = touch("a.png")
    path = table(root, "Bild;Klasse;Fall\na.png;all;007\n")
    columns = {"path": "Bild", "label": "Klasse", "patient": "Fall", "mask": None}
    cells = load(root=root, table=path, columns=columns).table
    assert cells[["name", "label", "patient"]].to_numpy().tolist() == [["a", "all", "007"]]
    unlabelled = load(root=root, table=path, columns=columns | {"label": False})
    assert unlabelled.table["label"].tolist() == [None]
