"""prepare runs over real and flat folders, names what is bad, and opens each image once."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oadls import pipeline
from oadls.data import collect
from oadls.errors import UserError
from oadls.prepare import prepare
from tests.runs import composed

TWO_CELLS = ("data.patients=2", "data.cells_per_patient=1")


pytestmark = pytest.mark.usefixtures("own_cache")


def flat_folder(tmp_path: Path, source: Path, number: int) -> Path:
    """A few real images in one folder, without labels."""
    folder = tmp_path / "smears"
    folder.mkdir()
    for file in sorted(source.iterdir())[:number]:
        shutil.copy(file, folder)
    return folder


def test_a_flat_folder_without_labels_is_prepared_and_exported(
    tmp_path: Path, data_dir: Path
) -> None:
    folder = flat_folder(tmp_path, data_dir / "all-idb2" / "images", 4)
    out = tmp_path / "out"
    table = prepare(composed("prepare", "data=folder", f"data.root={folder}", f"export={out}"))
    assert len(table) == 4
    assert table["label"].isna().all()
    assert (table["cell_area"] > 0).all()
    for name in table["name"]:
        original = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
        mask = np.asarray(Image.open(out / "masks" / f"{name}.png"))
        assert mask.shape == original.shape[:2]
        assert set(np.unique(mask)) <= {0, 128, 255}
        assert np.asarray(Image.open(out / "images" / f"{name}.png")).shape == original.shape
        sheet = np.asarray(Image.open(out / "sheets" / f"{name}.png"))
        assert sheet.shape[0] == original.shape[0]
        assert sheet.shape[1] > 5 * original.shape[1]


@pytest.mark.parametrize(("data", "folder"), [("all_idb2", "all-idb2"), ("wbc_jtsc", "wbc-jtsc")])
def test_real_masks_are_met(
    data: str, folder: str, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tenth image of a set; the bars are those of the whole set, less sampling."""
    subset = tmp_path / folder
    for kind in ("images", "masks"):
        (subset / kind).mkdir(parents=True)
        for file in sorted((data_dir / folder / kind).glob("*.png"))[::10]:
            shutil.copy(file, subset / kind)
    labels = data_dir / folder / "class-labels.csv"
    if labels.is_file():
        kept = {file.stem for file in (subset / "images").iterdir()}
        table = pd.read_csv(labels, dtype=str)
        table[table.iloc[:, 0].str.zfill(3).isin(kept)].to_csv(
            subset / "class-labels.csv", index=False
        )
    table = prepare(composed("prepare", f"data={data}", f"data.root={subset}"))
    assert len(table) >= 26
    assert table["dice_nucleus"].mean() > 0.90
    assert table["dice_cell"].mean() > 0.90


def test_a_second_run_touches_no_original_image(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = flat_folder(tmp_path, data_dir / "all-idb2" / "images", 3)
    first = prepare(composed("prepare", "data=folder", f"data.root={folder}"))

    def opened(path: Path, **_: object) -> np.ndarray:
        raise AssertionError(f"{path} was opened again")

    for module in (pipeline, collect):
        monkeypatch.setattr(module, "read_known", opened)
    monkeypatch.setattr(collect, "inspect_image", opened)
    second = prepare(composed("prepare", "data=folder", f"data.root={folder}"))
    pd.testing.assert_frame_equal(first, second)


def test_one_bad_image_does_not_lose_the_others(tmp_path: Path, data_dir: Path) -> None:
    folder = flat_folder(tmp_path, data_dir / "all-idb2" / "images", 4)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (folder / "empty.jpg").touch()
    table = prepare(composed("prepare", "data=folder", f"data.root={folder}", "data.max_bad=0.5"))
    assert len(table) == 4
    with pytest.raises(UserError, match=r"2 of 6 are bad") as error:
        prepare(composed("prepare", "data=folder", f"data.root={folder}"))
    assert str(folder / "broken.png") in str(error.value)
    assert str(folder / "empty.jpg") in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data=folder", "data.root=nowhere"), "nowhere"),
        (("data.rooot=x",), "rooot"),
        (("pipeline.smooth.mode=sideways", *TWO_CELLS), "sideways"),
    ],
)
def test_nobody_sees_a_traceback_for_a_mistake(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "oadls.prepare", *arguments, "hydra.run.dir=run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
