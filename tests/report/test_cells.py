"""What was found, taken and left, as the first lines of every command show it."""

import pandas as pd
import pytest

from oadls.data.table import Cells, make_cells
from oadls.report.cells import MOST_ROWS, describe_classes, found_rows, print_found


def cells(*names: str, patient: object = None, left: dict[str, str] | None = None) -> Cells:
    rows = [
        {"path": f"/r/{name}.png", "name": name, "label": name.split("/")[0], "patient": patient}
        for name in names
    ]
    excluded = {"/r/all/9.png": "has the same name as 9.bmp"}
    return make_cells(rows, excluded, source="made", left=left)


def test_every_folder_has_its_images_and_what_was_left_in_it() -> None:
    left = {
        "all/x.txt": ".txt: no image",
        "all/y.txt": ".txt: no image",
        "all/@eaDir/1/t.png": "@eaDir: thumbnails of a NAS",
        "third/": "no image in it",
    }
    assert found_rows(cells("all/1", "all/2", "hem/3", left=left)) == [
        (
            "all",
            "all",
            "2",
            "unknown",
            "2: .txt: no image (x.txt)\n1: @eaDir: thumbnails of a NAS (t.png)",
        ),
        ("hem", "hem", "1", "unknown", ""),
        ("third", "-", "0", "", "no image in it"),
        ("", "-", "0", "", "1: has the same name as 9.bmp (/r/all/9.png)"),
    ]


def test_many_folders_are_told_together_and_no_image_is_lost() -> None:
    names = [f"{label}/patient{k}/{k}" for label in ("all", "hem") for k in range(50)]
    rows = found_rows(cells(*names, patient="p"))
    assert len(rows) <= MOST_ROWS
    assert [row[:4] for row in rows[:2]] == [("all", "all", "50", "1"), ("hem", "hem", "50", "1")]


def test_classes_come_with_their_cells_and_patients() -> None:
    table = pd.DataFrame(
        {"label": ["a", "a", "b", None], "patient": ["1", None, None, "2"]}, dtype=object
    )
    assert describe_classes(table, classes=["b", "a", "c"], positive="a") == (
        "3 classes: b with 1 cell, patients unknown, "
        "a (positive) with 2 cells of 1 patient (1 of no known patient), c with 0 cells; "
        "without a label 1 cell of 1 patient"
    )


@pytest.mark.parametrize("name", ["[/b]", "\x1b[31m", "a\nb", "\udcff", "良性"])
def test_names_are_inert_in_the_terminal(name: str, capsys: pytest.CaptureFixture) -> None:
    found = cells(f"{name}/1", left={f"{name}/{name}.txt": ".txt: no image"})
    print_found(found, name=name, classes=[name])
    assert "\x1b[31m" not in capsys.readouterr().out
