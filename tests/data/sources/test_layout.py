"""Folders that are no classes are asked about; masks beside images are none of the cells."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oadls.data.sources.folder import load
from oadls.data.sources.layout import beside, class_level
from oadls.errors import UserError

HOME = Path("/data/cells")
CLASSES = [
    "all",
    "hem",
    "Benign",
    "Early",
    "Pre",
    "Pro",
    "normal",
    "0",
    "1",
    "AML-M2",
    "L1",
    "良性",
]
SPLITS = ["TRAIN", "Test", "val", "validation_set", "fold_0", "Fold-3", "testing data", "holdout"]
VERSIONS = ["Original", "Segmented", "images", "masks", "augmented", "RAW", "data", "PNG"]
OTHERS = ["patient_1", "Case 07", "subject12", "C-NMC_training_data", "myTrainData", "训练集"]


def level(*files: str, class_folder: int | None = None, classes: list[str] | None = None) -> int:
    return class_level(files, home=HOME, class_folder=class_folder, classes=classes)


@given(st.lists(st.sampled_from(CLASSES), min_size=2, unique=True))
def test_folders_of_classes_are_taken_without_a_question(names: list[str]) -> None:
    assert level(*(f"{name}/{k}.png" for k, name in enumerate(names))) == 1


@given(
    st.sampled_from(SPLITS + VERSIONS + OTHERS),
    st.lists(st.sampled_from(CLASSES), max_size=3),
    st.booleans(),
)
def test_a_folder_that_sounds_like_something_else_is_asked_about(
    odd: str, names: list[str], deeper: bool
) -> None:
    files = [f"{name}/1.png" for name in names] + [f"{odd}/all/1.png" if deeper else f"{odd}/1.png"]
    with pytest.raises(UserError, match="which folder names the class") as asked:
        level(*files)
    for part in (odd, "data.class_folder=1", "data.class_folder=2", "data.root="):
        assert part in str(asked.value)
    assert level(*files, class_folder=1) == 1


@pytest.mark.parametrize(
    "files",
    [
        ("berlin/all/1.png", "berlin/hem/2.png", "paris/all/3.png"),  # the same names below
        ("cells2019/all/1.png", "cells2019/hem/2.png"),  # one folder with several in it
    ],
)
def test_folders_are_asked_about_that_hold_the_classes(files: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="which folder names the class"):
        level(*files)
    assert level(*files, class_folder=2) == 2


def test_folders_below_a_class_that_differ_are_no_question() -> None:
    assert level("all/monday/1.png", "all/deep/er/2.png", "hem/tuesday/3.png") == 1


def test_who_names_the_classes_has_answered() -> None:
    assert level("train/1.png", "test/1.png", classes=["test", "train"]) == 1


def test_an_image_above_its_class_folder_is_named() -> None:
    with pytest.raises(
        UserError, match=r"at least 2 folders below data\.root, hem/2\.png does not"
    ):
        level("TRAIN/all/1.png", "hem/2.png", class_folder=2)


def test_the_second_folder_gives_the_class_and_the_first_the_part(touch) -> None:
    root = touch("TRAIN/all/1.png", "TRAIN/hem/2.png", "TEST/all/3.png", "TEST/hem/x/4.png")
    table = load(root=root, class_folder=2).table
    assert table["label"].tolist() == ["all", "hem", "all", "hem"]
    assert table["part"].tolist() == ["TEST", "TEST", "TRAIN", "TRAIN"]


def test_one_cell_in_several_versions_is_said(touch, caplog) -> None:
    load(
        root=touch("Original/all/1.png", "Segmented/all/1.png", "Original/b/2.png"), class_folder=2
    )
    assert "1 images stand under one name in several folders, such as all/1" in caplog.text


@given(
    st.sampled_from(["mask", "masks", "SEG", "gt", "label", "Ground_Truth", "overlay", "thumb"]),
    st.sampled_from("_-. "),
    st.sampled_from([".png", ".bmp", ".TIF"]),
    st.booleans(),
)
def test_a_mask_beside_its_image_is_no_cell(
    word: str, mark: str, ending: str, before: bool
) -> None:
    mask = f"{word}{mark}x" if before else f"x{mark}{word}"
    files = ["all/x.png", f"all/{mask}{ending}"]
    assert list(beside(files)) == files[1:]
    assert beside(["hem/x.png", files[1]]) == {}  # the image of that name lies elsewhere


def test_masks_and_thumbnails_in_folders_of_a_class_are_left(touch) -> None:
    cells = load(root=touch("all/1.png", "all/masks/1.png", "all/a/Thumbs/1.png", "hem/2.png"))
    assert cells.table["name"].tolist() == ["all/1", "hem/2"]
    assert sorted(cells.left["path"]) == ["all/a/Thumbs/1.png", "all/masks/1.png"]
