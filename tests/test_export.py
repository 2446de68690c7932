"""An export writes into its folder alone, and never over an image that was read."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from oadls.errors import UserError
from oadls.experiment import build
from oadls.export import KINDS, check_folder, export
from oadls.pipeline import PreparedCells
from oadls.prepare import prepare
from oadls.tables import read_table
from tests.runs import composed

pytestmark = pytest.mark.usefixtures("own_cache")
NAMES = ("a", "A", "b", "é", "e\u0301", "a.png", "..", "x\ny", "\udcff", "-rf", "con", "n" * 250)


@pytest.fixture(scope="module")
def prepared(own_cache: None) -> PreparedCells:
    return PreparedCells(build(composed("prepare").pipeline)())


def draw(file: Path, seed: int = 0) -> Path:
    """A dark nucleus in a cell on a light ground, 48 px."""
    y, x = np.mgrid[:48, :48]
    far = np.hypot(y - 24, x - 24 - seed % 3)
    image = np.full((48, 48, 3), (225, 215, 225), np.uint8)
    image[far < 17] = (170, 150, 205)
    image[far < 11] = (90, 50, 130)
    image += np.random.default_rng(seed).integers(0, 9, image.shape, dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file, "PNG")
    return file


def table_of(files: dict[str, Path]) -> pd.DataFrame:
    """The columns that an export reads, name -> file."""
    rows = [{"path": str(file), "name": name, "mask": None} for name, file in files.items()]
    return pd.DataFrame(rows, dtype=object).assign(detail_hash=0)


def hashes(folder: Path) -> dict[str, str]:
    """Of every file below, links followed."""
    return {
        os.path.join(home, name): hashlib.sha256(Path(home, name).read_bytes()).hexdigest()
        for home, _, names in os.walk(os.fsencode(folder), followlinks=True)
        for home, name in ((os.fsdecode(home), os.fsdecode(name)) for name in names)
    }


def by_absolute_path(cells: Path, work: Path) -> tuple[str, ...]:
    rows = [f"{file},x" for file in sorted(cells.iterdir())]
    (work / "cells.csv").write_text("\n".join(["path,label", *rows]))
    return f"data.root={work}", f"data.table={work / 'cells.csv'}"


def by_dots(cells: Path, work: Path) -> tuple[str, ...]:
    rows = [f"../{cells.name}/{file.name},x" for file in sorted(cells.iterdir())]
    (work / "cells.csv").write_text("\n".join(["path,label", *rows]))
    return f"data.root={work}", f"data.table={work / 'cells.csv'}"


def through_a_link(cells: Path, work: Path) -> tuple[str, ...]:
    (work / "link").symlink_to(cells)
    by_absolute_path(cells, work)
    return f"data.root={work / 'link'}", f"data.table={work / 'cells.csv'}"


@pytest.mark.parametrize("listed", [by_absolute_path, by_dots, through_a_link])
def test_images_that_lie_elsewhere_stay_as_they_are(
    listed: Callable[[Path, Path], tuple[str, ...]], tmp_path: Path
) -> None:
    for seed in range(2):
        draw(tmp_path / "cells" / f"c{seed}.png", seed)
    (tmp_path / "work").mkdir()
    arguments = listed(tmp_path / "cells", tmp_path / "work")
    before = hashes(tmp_path)
    prepare(composed("prepare", "data=folder", *arguments, f"export={tmp_path / 'out'}"))
    after = hashes(tmp_path)
    assert {path: after[path] for path in before} == before
    told = read_table(tmp_path / "out" / "cells.csv")
    assert len(set(told["exported"])) == 2
    for _, row in told.iterrows():
        for kind in KINDS:
            assert (tmp_path / "out" / kind / row["exported"]).is_file()
    new = set(after) - set(before)
    assert len(new) == 2 * len(KINDS) + 1
    assert all(Path(path).is_relative_to(tmp_path / "out") for path in new)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
def test_every_image_has_a_file_of_its_own_whatever_its_name(
    names: list[str], prepared: PreparedCells, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("any")
    files = {name: draw(home / "in" / f"{n}.png", n) for n, name in enumerate(names)}
    before = hashes(home)
    export(table_of(files), prepared, home / "out")
    assert hashes(home / "in") == before
    told = read_table(home / "out" / "cells.csv")
    for file, place in zip(files.values(), told["exported"], strict=True):
        pictures = [np.asarray(Image.open(home / "out" / kind / place)) for kind in KINDS]
        original = np.asarray(Image.open(file))
        np.testing.assert_array_equal(pictures[2][:, : original.shape[1]], original)
    assert len(hashes(home / "out")) == len(names) * len(KINDS) + 1


@pytest.mark.parametrize(
    "place", ["cells", "cells/out", "link", "link/out", "loop/cells", "cells/../cells"]
)
def test_no_export_goes_where_images_are_read(place: str, tmp_path: Path) -> None:
    draw(tmp_path / "cells" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "cells")
    (tmp_path / "loop").symlink_to(tmp_path)
    before = hashes(tmp_path / "cells")
    with pytest.raises(UserError, match=r"export: .* lies in data\.root"):
        check_folder(tmp_path / place, root=str(tmp_path / "cells"), listed=False)
    assert hashes(tmp_path / "cells") == before


@pytest.mark.parametrize("place", [".", "images", "link", "masks/.."])
def test_no_export_goes_above_what_is_read(
    place: str, prepared: PreparedCells, tmp_path: Path
) -> None:
    """As ALL-IDB2 has it: its images lie in images/, where an export would write."""
    file = draw(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"holds files that are read, .*a\.png"):
        export(table_of({"a": file}), prepared, tmp_path / place)
    assert list(hashes(tmp_path / "images")) == [str(file)]


def test_a_table_that_was_read_is_not_replaced(prepared: PreparedCells, tmp_path: Path) -> None:
    file, out = draw(tmp_path / "cells" / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / "mine.csv").write_text("path,label")
    with pytest.raises(UserError, match=r"holds files that are read, .*mine\.csv"):
        export(table_of({"a": file}), prepared, out, inputs=[str(out / "mine.csv")])


@pytest.mark.parametrize("left", ["cells.csv", "images", "masks", "sheets"])
def test_what_no_export_left_is_not_replaced(left: str, tmp_path: Path) -> None:
    draw(tmp_path / "cells" / "a.png")
    out = tmp_path / "out"
    if left == "cells.csv":
        out.mkdir()
        (out / left).write_text("path,label\na.png,all\n")
    else:
        draw(out / left / "a.png")
    with pytest.raises(UserError, match=rf"holds {left}, left by no earlier export"):
        check_folder(out, root=str(tmp_path / "cells"), listed=False)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for place in ("out", "out/more"):
        with pytest.raises(UserError, match=r"export: a folder, .*out is a file"):
            check_folder(tmp_path / place, root=None, listed=True)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("link", ["images", "images/all"])
def test_no_link_in_the_folder_leads_out(
    link: str, prepared: PreparedCells, tmp_path: Path
) -> None:
    file = draw(tmp_path / "cells" / "all" / "a.png")
    (tmp_path / "other").mkdir()
    place = tmp_path / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match=rf"{link} is a link to .*other"):
        export(table_of({"all/a": file}), prepared, tmp_path / "out")
    assert not hashes(tmp_path / "other")


def test_an_export_again_replaces_files_and_follows_no_link(
    prepared: PreparedCells, tmp_path: Path
) -> None:
    file, out = draw(tmp_path / "cells" / "a.png"), tmp_path / "out"
    export(table_of({"a": file}), prepared, out)
    first = hashes(out)
    (out / "images" / "a.png").unlink()
    (out / "images" / "a.png").symlink_to(file)
    (out / "masks" / "a.png").unlink()
    os.link(file, out / "masks" / "a.png")
    before = hashes(tmp_path / "cells")
    check_folder(out, root=str(tmp_path / "cells"), listed=False)
    export(table_of({"a": file}), prepared, out)
    assert hashes(tmp_path / "cells") == before
    assert hashes(out) == first
