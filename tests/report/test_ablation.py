"""The ablation's table pairs what belongs together."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from oadls.experiment import build
from oadls.metrics import scores
from oadls.report.ablation import STAGES, ablation_table, plot_ablation, read_runs
from tests.runs import CONF

CLASSES = ["normal", "all"]


def run(*, noise: float, seed: int, patients: int = 24) -> tuple[dict, pd.DataFrame]:
    """Metrics and predictions of a model that errs as much as it has noise."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(patients) % 2, 10)
    group = np.repeat([f"P{k:02d}" for k in range(patients)], 10)
    score = 1 / (1 + np.exp(-(2 * label - 1 + rng.normal(0, noise, len(label)))))
    probabilities = np.stack([1 - score, score], axis=1)
    table = pd.DataFrame(
        {
            "path": [f"{g}/{i}" for i, g in enumerate(group)],
            "group": group,
            "label": np.array(CLASSES)[label],
            "prob_normal": 1 - score,
            "prob_all": score,
        }
    )
    found = scores(label, probabilities, classes=CLASSES)
    found["uncertainty"] = {"unit": "a patient"}
    return {"classes": CLASSES, "test": found}, table.sample(frac=1, random_state=seed)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    noise = {"nothing": 0.5, "wiener": 0.5, "mask": 4.0}
    runs = {
        ("drawn", without): {s: run(noise=n, seed=10 * s + int(n)) for s in range(3)}
        for without, n in noise.items()
    }
    return ablation_table(runs).set_index("stage")


def test_a_stage_that_matters_is_told_from_one_that_does_not(table: pd.DataFrame) -> None:
    mask, wiener = table.loc[STAGES["mask"]], table.loc[STAGES["wiener"]]
    assert mask["precision low"] > 0.1
    assert mask["precision p"] < 0.01
    assert wiener["precision gain"] == 0
    assert pd.isna(wiener["precision low"]) or wiener["precision low"] <= 0
    assert (table["seeds"] == 3).all()


def test_a_seed_that_one_side_lacks_does_not_count() -> None:
    runs = {
        ("drawn", "nothing"): {s: run(noise=0.5, seed=s) for s in range(3)},
        ("drawn", "crop"): {1: run(noise=2.0, seed=7)},
    }
    (row,) = ablation_table(runs).to_dict("records")
    assert row["seeds"] == 1
    assert row["precision whole"] == runs["drawn", "nothing"][1][0]["test"]["precision"]


def test_the_gain_is_the_whole_method_less_the_other(table: pd.DataFrame) -> None:
    mask = table.loc[STAGES["mask"]]
    difference = mask["precision whole"] - mask["precision without"]
    assert mask["precision gain"] == pytest.approx(difference, abs=0.02)  # pooled or averaged


def test_the_figure_names_every_stage(table: pd.DataFrame) -> None:
    figure = plot_ablation(table.reset_index())
    labels = {text.get_text() for text in figure.axes[0].get_yticklabels()}
    assert labels == set(table.index)
    figure.canvas.draw()
    assert figure.bbox.padded(1).containsx(figure.axes[0].xaxis.label.get_window_extent().x1)


@pytest.mark.parametrize("without", sorted(file.stem for file in (CONF / "without").glob("*")))
def test_every_stage_can_be_left_out(without: str) -> None:
    assert without in {"nothing", *STAGES}
    with initialize_config_dir(str(CONF)):
        cfg = compose("train", ["+experiment=ablation", f"without={without}"])
        whole = compose("train", ["+experiment=ablation"])
    assert (cfg != whole) == (without != "nothing")
    pipeline, crop = build(cfg.pipeline)(), build(cfg.crop)
    image = np.full((120, 120, 3), 230, np.uint8)
    image[40:80, 40:80] = (90, 30, 120)
    stages = pipeline.stages(image)
    shown, codes = crop(stages.enhanced, stages.mask)
    far = cv2.dilate(codes, np.ones((7, 7))) == 0
    assert shown[far].any() == (without == "mask")  # else the surround is black
    assert (pipeline.smooth is None) == (without == "wiener")
    assert (pipeline.equalize is None) == (without == "dhe")
    assert cfg.model.head.attention == (without not in ("attention", "bigru"))
    assert cfg.model.head.recurrent == (without != "bigru")


def test_the_multirun_ends_in_one_table(own_cache: None, tmp_path: Path) -> None:
    settings = (
        *("cells=synthetic", "without=nothing,crop", "seed=0", "data.patients=8"),
        *(
            "data.cells_per_patient=2",
            "split.folds=2",
            "split.val=0.5",
            "training.epochs=1",
            "training.views=1",
        ),
        f"hydra.sweep.dir={tmp_path}",
    )
    command = [sys.executable, "-m", "oadls.train", "-m", "+experiment=ablation", *settings]
    subprocess.run(command, check=True, cwd=CONF.parent, capture_output=True)
    table = pd.read_csv(tmp_path / "ablation.csv")
    assert table[["cells", "stage", "seeds"]].to_numpy().tolist() == [["synthetic", "crop", 1]]
    assert table["precision low"].isna().all()  # four patients of a class carry no interval
    assert (tmp_path / "ablation.png").is_file()
    assert ablation_table(read_runs(tmp_path)).shape == table.shape
