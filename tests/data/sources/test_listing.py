import pytest

from oadls.data.sources.listing import existing_folder, find_images, first_of_each_name, name_of
from oadls.errors import UserError


def test_images_are_found_at_any_depth_sorted_and_litter_is_not(touch):
    root = touch("b/c/2.PNG", "a/1.jpg", "0.tif", "notes.txt", ".hidden.png", "a/._1.jpg")
    touch("__MACOSX/a/1.jpg", ".cache/1.png", "Thumbs.db")
    (root / "folder.png").mkdir()
    names = [path.relative_to(root).as_posix() for path in find_images(root)]
    assert names == ["0.tif", "a/1.jpg", "b/c/2.PNG"]


def test_a_missing_folder_has_no_images(tmp_path):
    assert find_images(tmp_path / "nowhere") == []


def test_a_name_keeps_its_folders_and_its_dots(tmp_path):
    assert name_of(tmp_path / "a" / "cell.7.png", tmp_path) == "a/cell.7"


def test_two_files_of_one_name_are_one_cell(touch):
    root = touch("a/1.webp", "a/1.bmp", "b/1.webp")
    kept, others = first_of_each_name(find_images(root), root)
    assert [path.relative_to(root).as_posix() for path in kept] == ["a/1.bmp", "b/1.webp"]
    assert others == {str(root / "a/1.webp"): "has the same name as 1.bmp"}


def test_a_root_that_is_no_folder_is_named(touch):
    root = touch("file")
    with pytest.raises(UserError, match=r"made: data\.root is a folder, .*file is not"):
        existing_folder(root / "file", source="made")
