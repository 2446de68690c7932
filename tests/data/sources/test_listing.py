"""Every image is found, by its ending or its first bytes; all else is named with its reason."""

import io
import os
import time

import pytest
from PIL import Image

from oadls.data.read import read_image
from oadls.data.sources.endings import IMAGE_ENDINGS, ending_of
from oadls.data.sources.listing import (
    existing_folder,
    find_images,
    first_of_each_name,
    name_of,
    survey,
)
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


def encoded(kind):
    """A small picture as Pillow writes it."""
    file = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 100, 50)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind", ["BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"]
)
def test_whatever_the_reader_reads_is_found_without_an_ending(touch, kind):
    names = ("no_ending", "UID_1.2", "x.img")
    root = touch(*names, content=encoded(kind))
    assert survey(root).files == sorted(names)
    assert read_image(root / "x.img").shape == (20, 20, 3)
    assert [name_of(path, root) for path in survey(root).paths] == sorted(names)


def test_every_ending_by_which_pillow_knows_these_formats_is_on_the_list():
    Image.init()
    kinds = {"BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"}
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in kinds}
    assert known - {".pfm"} <= set(IMAGE_ENDINGS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/notes.txt", ".txt: no image"),
        ("a/slide.svs", ".svs: a format that oadls does not read"),
        ("a/x.dcm", ".dcm: a format that oadls does not read"),
        ("a/x.weird", ".weird: no image"),
        ("a/README", "no ending: no image"),
        ("a/.hidden.png", "a hidden file"),
        ("a/x.png~", "a backup or half a download"),
        ("a/x.png.part", "a backup or half a download"),
        ("a/@eaDir/x.png/SYNOPHOTO_THUMB_M.png", "@eaDir: thumbnails of a NAS"),
        ("#recycle/x.png", "#recycle: deleted files"),
        (".trash/x.png", ".trash: a hidden folder"),
    ],
)
def test_what_is_left_is_named_with_its_reason(touch, name, reason):
    listing = survey(touch("a/1.png", name))
    assert listing.files == ["a/1.png"]
    assert listing.left == {name: reason}


def test_a_source_with_endings_of_its_own_names_the_others(touch):
    listing = survey(touch("1.bmp", "2.jpg", "3"), endings=(".bmp",))
    assert listing.files == ["1.bmp"]
    assert listing.left["2.jpg"] == ".jpg: not one of this source"


def test_links_are_followed_once_and_never_in_a_circle(touch, tmp_path_factory):
    root, other = touch("all/1.png", "all/2.png"), tmp_path_factory.mktemp("elsewhere")
    (other / "3.png").write_bytes(b"")
    (root / "hem").symlink_to(other)
    (root / "all" / "4.png").symlink_to(other / "3.png")
    (root / "all" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "all")
    (root / "all" / "gone.png").symlink_to(root / "nowhere")
    (root / "all" / "self").symlink_to(root / "all" / "self")
    listing = survey(root)
    assert listing.files == ["all/1.png", "all/2.png", "all/4.png", "hem/3.png"]
    assert listing.left == {
        "again": "a link to a folder that is listed already",
        "all/up": "a link to a folder that is listed already",
        "all/gone.png": "a link to nothing",
        "all/self": "a link to nothing",
    }


def test_a_folder_that_may_not_be_opened_is_named(touch, monkeypatch):
    root, scandir = touch("all/1.png", "hem/1.png", "@eaDir/1.png"), os.scandir

    def locked(place):
        if place.endswith(("hem", "@eaDir")):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(UserError, match=r"hem cannot be opened \(Permission denied\)"):
        survey(root)
    (root / "hem").rename(root / "free")
    assert survey(root).files == [
        "all/1.png",
        "free/1.png",
    ]  # locked litter is none of our business


@pytest.mark.parametrize(
    ("name", "ending"),
    [("a/cell.7.PNG", ".png"), ("a/cell", ""), ("a.b/cell", ""), (".png", ""), ("..x", "")],
)
def test_an_ending_is_what_follows_the_last_dot(name, ending):
    assert ending_of(name) == ending


def test_many_files_are_listed_in_a_breath(tmp_path):
    for folder in ("all", "hem"):
        (tmp_path / folder).mkdir()
        for k in range(3_000):
            os.close(os.open(tmp_path / folder / f"{k}.png", os.O_CREAT))
    start = time.process_time()
    assert len(survey(tmp_path).paths) == 6_000
    assert time.process_time() - start < 1  # of 100,000 files in some 5 s, on any machine
