"""The drawn patients: reproducible, truthful masks, and a background that knows no class."""

import functools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from oadls.data import synthetic
from oadls.data.synthetic.geometry import FIELD_UM, contour, signed_distance, texture
from oadls.data.synthetic.smear import scatter_red_cells
from oadls.errors import UserError

SIZE = 64
SMALL = {"patients": 4, "cells_per_patient": 3, "size": 64}


def cell_of(patient: int, *, label: str, cell: int = 0, size: int = SIZE):
    return synthetic.draw_cell(
        patient=synthetic.draw_patient(rng=np.random.default_rng([1, patient])),
        label=label,
        size=size,
        rng=np.random.default_rng([1, patient, cell]),
    )


@functools.cache
def cohort(patients: int = 160) -> list[tuple[np.ndarray, np.ndarray]]:
    """One cell of each patient; even numbers have leukemia."""
    return [cell_of(p, label=synthetic.LABELS[p % 2]) for p in range(patients)]


def held_out(features: list[np.ndarray]) -> tuple[float, float]:
    """AUROC and accuracy on unseen patients, each half of the cohort predicting the other."""
    x, y = np.stack(features), np.arange(len(features)) % 2 == 0
    first = np.arange(len(y)) < len(y) // 2
    scores = np.empty(len(y))
    for train, test in ((first, ~first), (~first, first)):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        scores[test] = model.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    auroc = np.mean([roc_auc_score(y[half], scores[half]) for half in (first, ~first)])
    return float(auroc), float(accuracy_score(y, scores > 0.5))


def look(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Colour and texture of some pixels; slopes only where no neighbour lies outside `where`."""
    colour = image[where].astype(float)
    slope = np.hypot(*np.gradient(image.mean(axis=2)))
    slope = slope[binary_erosion(where, iterations=2, border_value=1)]
    return np.concatenate(
        [
            colour.mean(0),
            colour.std(0),
            np.percentile(colour, [5, 25, 50, 75, 95], axis=0).ravel(),
            [slope.mean(), slope.std(), *np.percentile(slope, [50, 90])],
            np.corrcoef(colour.T)[np.triu_indices(3, 1)],
        ]
    )


def far_ring(size: int = SIZE) -> np.ndarray:
    axis = np.arange(size) - (size - 1) / 2
    return np.hypot(axis[:, None], axis[None, :]) > 0.45 * size


def test_the_same_generator_state_draws_the_same_bytes():
    (image, mask), (again, mask_again) = (cell_of(3, label="all", cell=2) for _ in range(2))
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(mask, mask_again)
    assert (image != cell_of(3, label="all", cell=1)[0]).mean() > 0.5


@pytest.mark.parametrize("size", [48, 80, 161])
@pytest.mark.parametrize("label", synthetic.LABELS)
def test_a_cell_is_a_colour_picture_with_a_mask_of_three_codes(label: str, size: int):
    image, mask = cell_of(0, label=label, size=size)
    assert image.shape == (size, size, 3)
    assert mask.shape == (size, size)
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 128, 255}


def test_the_nucleus_lies_inside_the_cell_and_the_cell_holds_the_centre():
    for _, mask in cohort():
        assert mask[SIZE // 2, SIZE // 2] > 0
        rim = binary_erosion(mask > 0) ^ (mask > 0)
        assert (mask[rim] == 128).mean() > 0.5  # cytoplasm lies between nucleus and smear
        edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert not edge.any()


def test_the_nucleus_is_the_darkest_part_in_green_and_the_smear_the_brightest():
    for image, mask in cohort()[:40]:
        nucleus, plasm, smear = (np.median(image[mask == code, 1]) for code in (255, 128, 0))
        assert nucleus < plasm < smear * 1.1


def test_the_background_is_the_same_picture_whatever_the_label():
    for patient in range(12):
        ill, ill_mask = cell_of(patient, label="all")
        well, well_mask = cell_of(patient, label="normal")
        outside = (ill_mask == 0) & (well_mask == 0)
        np.testing.assert_array_equal(ill[outside], well[outside])
        assert (ill_mask != well_mask).any()


def test_red_cells_are_as_dense_behind_the_white_cell_as_elsewhere():
    smear = synthetic.draw_patient(rng=np.random.default_rng(0)).smear
    rng = np.random.default_rng(1)
    centres = np.concatenate([scatter_red_cells(smear, rng) for _ in range(150)])
    inside = np.abs(centres).max(axis=1) < FIELD_UM / 2
    middle = (np.abs(centres).max(axis=1) < FIELD_UM / 4).sum()
    assert middle / inside.sum() == pytest.approx(0.25, abs=0.04)


def test_pixels_outside_the_true_mask_do_not_tell_the_class_of_unseen_patients():
    auroc, _ = held_out([look(image, mask == 0) for image, mask in cohort()])
    assert auroc == pytest.approx(0.5, abs=0.1)


def test_what_the_white_cell_hides_does_not_tell_its_class():
    """Both labels of every patient, so that no chance in the stain covers a leak by occlusion."""
    pictures = [cell_of(p // 2, label=synthetic.LABELS[p % 2]) for p in range(140)]
    auroc, _ = held_out([look(image, mask == 0) for image, mask in pictures])
    assert auroc == pytest.approx(0.5, abs=0.06)


def test_a_ring_far_from_the_centre_does_not_tell_the_class_of_unseen_patients():
    auroc, _ = held_out([look(image, far_ring()) for image, _ in cohort()])
    assert auroc == pytest.approx(0.5, abs=0.1)


def test_the_stain_varies_by_patient():
    whites = {p: [] for p in range(8)}
    for patient, found in whites.items():
        for cell in range(3):
            image, mask = cell_of(patient, label=synthetic.LABELS[cell % 2], cell=cell)
            found.append(np.percentile(image[mask == 0], 90, axis=0))
    within = np.mean([np.var(found, axis=0) for found in whites.values()], axis=0)
    between = np.var([np.mean(found, axis=0) for found in whites.values()], axis=0)
    assert (between > 4 * within).all()


def test_the_area_alone_is_a_fair_but_not_a_good_classifier():
    areas = [np.array([(mask > 0).sum()], float) for _, mask in cohort()]
    _, accuracy = held_out(areas)
    assert 0.70 < accuracy < 0.88


def test_shape_and_chromatin_add_to_the_area():
    auroc_area, _ = held_out([np.array([(mask > 0).sum()], float) for _, mask in cohort()])
    auroc, accuracy = held_out([biology(image, mask) for image, mask in cohort()])
    assert auroc > auroc_area + 0.02
    assert accuracy > 0.82


def biology(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Size, share of nucleus, indentation and coarseness of the chromatin, from the true mask."""
    cell, nucleus = mask > 0, mask == 255
    core = binary_erosion(nucleus, iterations=2)
    green = -np.log((image[..., 1] + 1.0) / 256)
    perimeter = (nucleus ^ binary_erosion(nucleus)).sum()
    spread = green[core].std() / green[core].mean()
    compactness = perimeter**2 / nucleus.sum()
    return np.array([cell.sum(), nucleus.sum() / cell.sum(), compactness, spread])


def test_cells_of_one_patient_are_more_alike_than_cells_of_many():
    areas = np.array(
        [
            [(cell_of(p, label="all", cell=c, size=48)[1] > 0).sum() for c in range(6)]
            for p in range(16)
        ],
        float,
    )
    share = areas.mean(axis=1).var() / areas.var()
    assert share > 1.5 / 6  # 1/6 of the variance if patients were all the same


def test_the_distance_to_a_circle_is_exact():
    outline = contour(np.zeros(512), radius=4.0)
    distance = signed_distance(outline, centre=(1.0, -2.0), size=96)
    axis = ((np.arange(96) + 0.5) / 96 - 0.5) * FIELD_UM
    truth = np.hypot(axis[:, None] - 1.0, axis[None, :] + 2.0) - 4.0
    np.testing.assert_allclose(distance, truth, atol=1e-4)


def test_a_contour_keeps_the_area_of_its_disk():
    bumps = 0.3 * np.cos(3 * np.linspace(0, 2 * np.pi, 512, endpoint=False))
    distance = signed_distance(contour(bumps, radius=5.0), centre=(0.0, 0.0), size=400)
    area = (distance < 0).sum() * (FIELD_UM / 400) ** 2
    assert area == pytest.approx(np.pi * 25, rel=0.01)


def test_texture_has_unit_variance_and_the_correlation_of_its_scale():
    noise = texture(240, scale_um=0.5, rng=np.random.default_rng(0))
    assert noise.std() == pytest.approx(1, abs=1e-3)
    lag = 10  # pixels: 1 um, two scales; a Gaussian filter's correlation is exp(-lag^2 / 4 s^2)
    assert np.mean(noise * np.roll(noise, lag, axis=0)) == pytest.approx(np.exp(-1), abs=0.05)


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"label": "hem"}, "one of all, normal"), ({"size": 20}, "at least 48 pixels, got 20")],
)
def test_a_cell_that_cannot_be_drawn_is_refused(change: dict, rule: str):
    with pytest.raises(UserError, match=rule):
        cell_of(0, **({"label": "all"} | change))


def test_the_table_is_well_formed_and_its_files_exist(tmp_path: Path):
    table = synthetic.load(root=tmp_path, **SMALL).table
    assert list(table.columns) == (
        ["path", "name", "label", "patient", "group", "source", "part", "mask"]
    )
    assert len(table) == 12
    assert table["name"].is_unique
    assert not table.isna().any().any()
    assert (table.groupby("patient")["label"].nunique() == 1).all()
    assert table.groupby("label")["patient"].nunique().to_dict() == {"all": 2, "normal": 2}
    assert set(table["source"]) == {"synthetic"}
    for row in table.itertuples():
        path = Path(row.path)
        assert path.is_absolute()
        assert path.as_posix().endswith(f"images/{row.name}.png")
        assert np.asarray(Image.open(path)).shape == (64, 64, 3)
        assert np.asarray(Image.open(row.mask)).shape == (64, 64)


def contents(table: pd.DataFrame) -> dict[str, bytes]:
    return {row.name: Path(row.path).read_bytes() for row in table.itertuples()}


def test_more_patients_and_more_cells_leave_the_others_as_they_are(tmp_path: Path):
    few = contents(synthetic.load(root=tmp_path, patients=2, cells_per_patient=2, size=64).table)
    many = contents(synthetic.load(root=tmp_path, patients=3, cells_per_patient=4, size=64).table)
    assert few.items() <= many.items()


def test_a_large_set_holds_the_same_bytes_as_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small = contents(synthetic.load(root=tmp_path / "one by one", **SMALL).table)
    monkeypatch.setattr("oadls.parallel.START", -1)
    assert contents(synthetic.load(root=tmp_path / "pool", **SMALL).table) == small


def test_another_seed_draws_other_cells_into_another_folder(tmp_path: Path):
    one = synthetic.load(root=tmp_path, **SMALL, seed=0).table
    two = synthetic.load(root=tmp_path, **SMALL, seed=1).table
    assert not set(one["path"]) & set(two["path"])
    assert all(a != b for a, b in zip(contents(one).values(), contents(two).values(), strict=True))


def test_a_set_that_exists_is_not_drawn_again(tmp_path: Path):
    table = synthetic.load(root=tmp_path, **SMALL).table
    before = Path(table["path"][0]).stat().st_mtime_ns
    pd.testing.assert_frame_equal(synthetic.load(root=tmp_path, **SMALL).table, table)
    assert Path(table["path"][0]).stat().st_mtime_ns == before


def test_a_set_that_failed_halfway_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        synthetic.load(root=tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


def _paths(root: Path) -> list[str]:
    return list(synthetic.load(root=root, **SMALL).table["path"])


def test_two_processes_that_draw_at_once_share_one_whole_folder(tmp_path: Path):
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        one, two = pool.map(_paths, [tmp_path, tmp_path])
    assert one == two
    assert all(Path(path).is_file() for path in one)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("settings", [{"patients": 1}, {"cells_per_patient": 0}])
def test_an_empty_data_set_is_refused(tmp_path: Path, settings: dict):
    with pytest.raises(UserError, match="at least 2 patients and 1 cell each"):
        synthetic.load(root=tmp_path, **settings)
