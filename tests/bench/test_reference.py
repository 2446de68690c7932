"""The reference of the benchmark and oadls make the same of an image."""

from pathlib import Path

import numpy as np
import pytest

from oadls.data import synthetic
from oadls.data.read import read_image
from oadls.pipeline import Pipeline
from oadls.preprocess.equalize import equalize
from oadls.preprocess.wiener import wiener
from oadls.segment.score import score_mask
from oadls.segment.watershed import segment
from scripts.bench.reference import reference_stages

PIPELINE = Pipeline(smooth=wiener, equalize=equalize, segment=segment)


def agreement(image: np.ndarray) -> dict[str, float]:
    """Dice of the two masks; the two enhanced images hardly differ."""
    stages = PIPELINE.stages(image)
    enhanced, mask = reference_stages(image)
    assert enhanced.dtype == mask.dtype == np.uint8
    steps = np.abs(enhanced.astype(int) - stages.enhanced)
    assert np.quantile(steps, 0.999) <= 1
    return score_mask(stages.mask, mask)


def drawn_cell(seed: int, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([7, seed])
    patient = synthetic.draw_patient(rng=rng)
    label = synthetic.LABELS[seed % 2]
    return synthetic.draw_cell(patient=patient, label=label, size=size, rng=rng)


@pytest.mark.parametrize("size", [128, 300])
@pytest.mark.parametrize("cut_out", [False, True])
def test_they_agree_on_drawn_cells(cut_out: bool, size: int) -> None:
    scores = []
    for seed in range(4):
        image, mask = drawn_cell(seed, size=size)
        if cut_out:
            image[mask == 0] = 0
        scores.append(list(agreement(image).values()))
    nucleus, cell = np.mean(scores, axis=0)
    assert nucleus > 0.99
    assert cell > 0.99


@pytest.mark.parametrize("source", ["c-nmc", "all-idb2", "wbc-jtsc"])
def test_they_agree_on_real_cells(real_smears, source: str) -> None:
    files: list[Path] = real_smears(source)
    scores = [list(agreement(read_image(file)).values()) for file in files]
    nucleus, cell = np.mean(scores, axis=0)
    assert nucleus > 0.99
    assert cell > 0.99


def test_without_a_stained_cell_both_fall_back_to_the_foreground() -> None:
    image = np.random.default_rng(0).integers(126, 130, (60, 70, 3)).astype(np.uint8)
    assert agreement(image) == {"nucleus": 1, "cell": 1}
    assert (reference_stages(image)[1] == 128).all()
