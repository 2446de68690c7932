"""The audit finds every planted fault, is silent on clean cells, and says so by its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oadls.audit import audit
from oadls.data import synthetic
from tests.runs import composed

SMALL = "model.backbone.size=96"

pytestmark = pytest.mark.usefixtures("own_cache")


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    """The command as it is typed."""
    command = [sys.executable, "-m", "oadls.audit", *arguments, f"hydra.run.dir={folder}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def read(folder: Path, name: str) -> pd.DataFrame:
    text = ("patient_a", "patient_b", "name_a", "name_b")
    return pd.read_csv(folder / f"{name}.csv", dtype=dict.fromkeys(text, str))


@pytest.fixture(scope="module")
def planted(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    """An audit of drawn cells with one fault of each kind, split by image: its folder, findings."""
    root = tmp_path_factory.mktemp("planted")
    cells = synthetic.load(root=root / "drawn", patients=12, cells_per_patient=5).table
    images = root / "images"
    images.mkdir()
    rows = []
    for cell in cells.itertuples():
        sick = cell.label == "all"
        picture = np.asarray(Image.open(cell.path).convert("RGB"))
        mask = np.asarray(Image.open(cell.mask))
        if sick:  # a warmer light, around the cell alone
            tint = np.clip(picture * np.array([1.0, 0.8, 0.6]), 0, 255).astype(np.uint8)
            picture = np.where(mask[..., None] > 0, picture, tint)
        name = f"{cell.Index:03d}.{'png' if sick else 'bmp'}"
        Image.fromarray(picture).save(images / name)
        part = "ward" if sick else "laboratory"
        rows.append({"path": name, "label": cell.label, "patient": cell.patient, "part": part})
    rows += copies(images, rows)
    pd.DataFrame(rows).to_csv(images / "cells.csv", index=False)
    folder = root / "audit"
    cfg = composed(
        "audit",
        "data=folder",
        f"data.root={images}",
        f"data.table={images / 'cells.csv'}",
        "data.window=150",
        "split=image_kfold",
        SMALL,
    )
    return folder, audit(cfg, folder)


def copies(images: Path, rows: list[dict]) -> list[dict]:
    """An image under another patient, one shifted, darker and encoded anew, one with both labels.

    Patients have five cells each and are sick and healthy in turn.
    """
    Image.open(images / rows[0]["path"]).save(images / "same.bmp")
    first = np.asarray(Image.open(images / rows[10]["path"]))
    shifted = (np.roll(first, (2, -2), axis=(0, 1)) * 0.85).astype(np.uint8)
    Image.fromarray(shifted).save(images / "near.jpg", quality=85)
    Image.open(images / rows[20]["path"]).save(images / "torn.bmp")
    return [
        rows[10] | {"path": "same.bmp"},
        rows[30] | {"path": "near.jpg"},
        rows[20] | {"path": "torn.bmp", "label": "normal", "patient": rows[5]["patient"]},
    ]


def said(findings: list, *words: str) -> bool:
    return any(all(word in finding.what for word in words) for finding in findings)


def test_patients_on_two_sides_are_found(planted: tuple[Path, list]) -> None:
    folder, findings = planted
    assert said(findings, "12 of 12 patients on two sides of the split image_kfold")
    leaks = read(folder, "leaks")
    assert leaks[leaks["column"] == "patient"]["value"].nunique() == 12


def test_an_identical_image_under_two_patients_is_found(planted: tuple[Path, list]) -> None:
    folder, findings = planted
    assert said(findings, "patients of different names share 2 identical images")
    shared = read(folder, "shared")
    assert (shared["identical"] == 1).sum() == 2
    assert "same" in set(read(folder, "pairs")["name_b"])


def test_a_near_duplicate_under_two_patients_is_found(planted: tuple[Path, list]) -> None:
    folder, findings = planted
    assert said(findings, "at least 1 near-duplicate")
    near = read(folder, "pairs").query("kind == 'near'")
    assert near[["name_a", "name_b"]].to_numpy().tolist() == [["010", "near"]]


def test_a_cell_with_two_labels_is_found(planted: tuple[Path, list]) -> None:
    assert said(planted[1], "1 cell with two labels: 020 = torn")


def test_a_background_that_tells_the_class_is_found(planted: tuple[Path, list]) -> None:
    assert said(planted[1], "the background alone")


@pytest.mark.parametrize("field", ["part", "file ending"])
def test_a_field_that_is_the_label_is_found(field: str, planted: tuple[Path, list]) -> None:
    assert said(planted[1], f"the {field} tells")


def test_everything_is_saved(planted: tuple[Path, list]) -> None:
    folder, findings = planted
    saved = json.loads((folder / "audit.json").read_text())
    assert [finding["what"] for finding in saved["findings"]] == [f.what for f in findings]
    assert saved["cells"] == 63
    assert saved["not_done"] == []
    for name in ("pairs", "shared", "leaks", "confounds", "shortcuts", "inflation"):
        assert len(saved["evidence"][name]) == len(read(folder, name)) > 0


def test_clean_cells_end_with_0_and_nothing_found(tmp_path: Path) -> None:
    done = run("data=synthetic", "data.cells_per_patient=8", SMALL, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing found." in done.stdout
    assert len(done.stdout.splitlines()) < 60
    assert json.loads((tmp_path / "audit.json").read_text())["findings"] == []


def test_a_misspelt_data_set_ends_with_2(tmp_path: Path) -> None:
    done = run("data=synthetc", folder=tmp_path)
    assert done.returncode == 2
    assert "synthetc" in done.stderr
    assert "Traceback" not in done.stderr


def test_cells_without_labels_are_still_searched_for_copies(
    tmp_path: Path, planted: tuple[Path, list]
) -> None:
    images, cells = planted[0].parent / "images", tmp_path / "cells.csv"
    pd.read_csv(images / "cells.csv", dtype=str).assign(label="").to_csv(cells, index=False)
    settings = ("data=folder", f"data.root={images}", f"data.table={cells}")
    findings = audit(composed("audit", *settings), tmp_path)
    assert said(findings, "share 2 identical images")
    saved = json.loads((tmp_path / "audit.json").read_text())
    assert [reason.split(":")[0] for reason in saved["not_done"]] == [
        "two sides",
        "shortcuts, inflation",
    ]


def test_the_manifest_of_c_nmc_shows_its_people_with_two_names_and_ends_with_1(
    data_dir: Path, tmp_path: Path
) -> None:
    done = run("data=c_nmc_manifest", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not done: near-duplicates, size and surround of images, shortcuts" in done.stdout
    shared = read(tmp_path, "shared")
    pairs = shared[["patient_a", "patient_b", "identical"]].to_numpy()
    known = {"20 21": 71, "51 78": 11, "51 75": 10, "H2 H4": 3, "H2 H5": 2, "H2 H6": 1, "H10 H3": 1}
    assert {frozenset(pair[:2]): pair[2] for pair in pairs} == {
        frozenset(names.split()): number for names, number in known.items()
    }
    assert set(shared["group"]) == {"20+21", "51+75+78", "H2+H4+H5+H6", "H10+H3"}
    assert (shared["parts"].str.count("fold_") == 2).sum() == 5  # H2, H4 and H5 are in one
    saved = json.loads((tmp_path / "audit.json").read_text())
    assert saved["patients"] == 101
    whats = [finding["what"] for finding in saved["findings"]]
    assert any("parts separate 4 of these groups: 20+21 (fold_0, fold_2)" in w for w in whats)


def test_the_official_folds_of_c_nmc_put_people_on_two_sides(
    data_dir: Path, tmp_path: Path
) -> None:
    published = ("data=c_nmc_manifest", "split=official", "split.as_published=true")
    findings = audit(composed("audit", *published), tmp_path)
    assert said(findings, "4 people on two sides of the split official_as_published_by_image")
    mended = audit(composed("audit", *published[:2]), tmp_path)
    assert not said(mended, "on two sides of the split")


@pytest.mark.parametrize("name", ["c_nmc_fold1_by_image", "all_idb2_whole", "quickstart"])
def test_an_experiment_brings_its_data_split_and_crop(name: str) -> None:
    ours, theirs = (
        composed("audit", f"+experiment={name}"),
        composed("train", f"+experiment={name}"),
    )
    for key in ("data", "split", "crop", "seed", "model", "name"):
        assert ours[key] == theirs[key]
