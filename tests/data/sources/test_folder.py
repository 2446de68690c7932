import logging

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
