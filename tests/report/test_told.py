"""What a report says of the method is what was done: under every option of the configs."""

import functools
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

from oadls.data.table import Cells
from oadls.experiment import Experiment
from oadls.report import told
from oadls.report.builder import Page
from oadls.report.evidence import Evidence
from oadls.report.sections import card, checklist, headline, method
from oadls.report.sections.mistakes import influential
from oadls.run import NEW_CELLS, Fit, Run
from tests.runs import composed

CONF = Path(__file__).parents[2] / "conf"
WHOLE = "Wiener filter (eqs 1-3) → dynamic histogram equalization → marker watershed"
CELL = "the cell on black, in a window of 110 px round the cell"
ACRNN = "attention convolutional recurrent network (ACRNN)"
LITE = "tf_efficientnet_lite2.in1k (pretrained weights of a Python package; frozen)"

METRICS = {
    "pretrained": True,
    "withheld": "a reason",
    "protocol": "grouped_kfold",
    "excluded": 0,
    "test": {"uncertainty": {"warning": ""}, "auroc": None},
}


@functools.cache
def settings_of(*overrides: str) -> DictConfig:
    return composed("train", "data.window=110", *overrides)


def evidence(*overrides: str, fits: int = 1, by_image: bool = False, **of_fit) -> Evidence:
    """A run of composed settings, with four tested cells."""
    config = settings_of(*overrides)
    names = ["a", "b", "c", "d"]
    table = pd.DataFrame({"name": names, "pixels_sha256": names, "group": names, "patient": names})
    table["label"] = ["normal", "all"] * 2
    experiment = Experiment(config, Cells(table, pd.DataFrame()), None)  # type: ignore[arg-type]
    predictions = pd.DataFrame({"row": range(4), "side": "test", "label": [0, 1, 0, 1]})
    predictions[["probability_0", "probability_1"]] = [[0.9, 0.1], [0.2, 0.8]] * 2
    one = Fit("fold_0", 0, 0, predictions, pd.DataFrame(), 0.9, Path("fold_0.ckpt"), tested=1)
    found = [
        replace(one, name=f"fold_{k}", checkpoint=Path(f"fold_{k}.ckpt"), **of_fit)
        for k in range(fits)
    ]
    run = Run(experiment, found, Path(), "grouped_kfold", by_image)
    return Evidence(run, METRICS | {"by_image": by_image}, {}, None)


def options(group: str) -> list[str]:
    return [file.stem for file in sorted((CONF / group).glob("*.yaml"))]


WITHOUT = {
    "nothing": f"Image → {WHOLE} → {CELL} → {LITE} → {ACRNN}.",
    "wiener": f"Image → dynamic histogram equalization → marker watershed → {CELL} → ",
    "dhe": f"Image → Wiener filter (eqs 1-3) → marker watershed → {CELL} → ",
    "crop": f"Image → {WHOLE} → the cell on black in the whole image → ",
    "mask": f"{WHOLE} → a window of 110 px round the cell, with all that is in it → ",
    "attention": "→ convolutional recurrent network (ACRNN without its attention).",
    "bigru": "→ the paper's head without its Bi-GRU and attention: the mean over the regions.",
}


@pytest.mark.parametrize("stage", options("without"))
def test_a_stage_that_is_left_out_is_not_claimed(stage: str) -> None:
    found = evidence(f"+without={stage}")
    assert WITHOUT[stage] in told.steps(found)
    caption = method.stage_caption(found)
    assert ("Wiener filter" in caption) == (stage != "wiener")
    assert ("dynamic histogram equalization" in caption) == (stage != "dhe")
    assert told.cropped(found.run.experiment.config) in caption


CROPS = {
    "cell": CELL,
    "whole": "→ the whole image →",
    "background": "→ the whole image, in which the cell is painted over →",
}


@pytest.mark.parametrize("crop", options("crop"))
def test_the_crop_is_that_of_the_config(crop: str) -> None:
    text = told.steps(evidence(f"crop={crop}"))
    assert CROPS[crop] in text
    assert ("the model does not see it" in text) == (crop == "whole")
    assert CROPS[crop].strip("→ ") in dict(card.rows(evidence(f"crop={crop}")))["Input"]


BACKBONES = {
    (): "(pretrained weights of a Python package; frozen)",
    ("model.backbone.weights=random",): "(random weights, nothing learned before; frozen)",
    ("model.backbone.weights=hub",): "(pretrained weights of the hub; frozen)",
    ("model.backbone.weights=/a/b.pth",): "(weights of the file b.pth; frozen)",
    ("model.backbone.train_last=2",): "; its last 2 pieces trained, the others frozen)",
    ("model.backbone.train_last=all",): "; trained as a whole)",
    ("model=frozen",): "; frozen), the mean of its last map → an SVM with a radial kernel on",
}


@pytest.mark.parametrize("settings", BACKBONES)
def test_the_backbone_is_what_it_was(settings: tuple[str, ...]) -> None:
    assert BACKBONES[settings] in told.steps(evidence(*settings))


@pytest.mark.parametrize("head", options("model/head"))
def test_every_head_has_words(head: str) -> None:
    text = told.head(evidence(f"model/head={head}").run.experiment.config)
    assert text == (ACRNN if "acrnn" in head else text)
    assert "_" not in text
    assert " " in text


@pytest.mark.parametrize("estimator", options("model/estimator"))
@pytest.mark.parametrize("inputs", options("model/inputs"))
def test_an_estimator_has_neither_epochs_nor_crop(estimator: str, inputs: str) -> None:
    model = "frozen" if inputs == "pooled" else "numbers"
    settings = (f"model={model}", f"model/inputs={inputs}", f"model/estimator={estimator}")
    found = evidence(*settings)
    text = told.steps(found)
    assert text.endswith(f"→ {told.ESTIMATORS[estimator]}.")
    assert (CELL in text) == (inputs == "pooled")
    assert ("(pretrained weights of a Python package; frozen)" in text) == (inputs == "pooled")
    assert (f"measured on the segmented cell ({inputs})" in text) == (inputs != "pooled")
    assert told.selection(found) == "Nothing was chosen on validation."
    assert "network" not in told.tested(found) + told.pooled(found.run) + told.seen(found)
    assert (told.seen(found) == "what the estimator saw") == (inputs == "pooled")


def test_what_validation_chose_is_told_fold_by_fold() -> None:
    tune = "tune=['model.backbone.train_last=0','model.backbone.train_last=2']"
    found = evidence(tune, fits=2)
    found.run.fits[1] = replace(found.run.fits[1], tuned="model.backbone.train_last=2")
    text = told.steps(found)
    assert "fold_0: tf_efficientnet_lite2.in1k (pretrained weights of a Python package; fr" in text
    assert "fold_1: tf_efficientnet_lite2.in1k (pretrained weights of a Python package; its" in text
    assert "Of 2 settings each fold kept the one with the best macro" in told.selection(found)
    assert "kept the one" not in told.selection(evidence())


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("test_views", [1, 4])
def test_views_are_counted(views: int, test_views: int) -> None:
    text = told.steps(evidence(f"training.views={views}", f"training.test_views={test_views}"))
    assert (f"shown in {views} views" in text) == (views > 1)
    assert (f"the mean over {test_views} views" in text.lower()) == (test_views > 1)


def test_other_wiener_filters_and_steps_are_called_by_what_they_are() -> None:
    assert "which is not that of eqs 1-3" in told.steps(evidence("pipeline.smooth.mode=local"))
    other = evidence("pipeline.smooth._target_=mylab.filters.median")
    assert told.steps(other).startswith("Image → median → dynamic")
    assert "Pruner".lower() in told.selection(evidence("+sweep=rmsprop")).lower()


LOOKS = {
    (1, 1): "predicted once, by the chosen network",
    (3, 1): "predicted once by each of the 3 networks",
    (2, 2): r"more than once, .*fold_0 2 times, fold_1 2 times",
    (2, None): "is not recorded",
}


@pytest.mark.parametrize(("fits", "tested"), LOOKS)
def test_the_test_part_was_predicted_as_often_as_the_run_knows(fits: int, tested) -> None:
    found = evidence(fits=fits, tested=tested)
    assert re.search(LOOKS[fits, tested], told.tested(found))
    assert dict(card.rows(found))["Looks at the test part"] == told.tested(found)


def test_an_evaluation_never_says_that_the_test_part_was_predicted_once() -> None:
    again = evidence(trained=False, tested=None)
    again.run.fits[0].predictions.loc[0, "side"] = "train"
    assert "had been predicted in that run, and were here once more" in told.tested(again)
    new = evidence(trained=False, tested=None, fits=2)
    new = replace(new, run=replace(new.run, protocol=NEW_CELLS))
    assert "2 checkpoints that were trained before, of cells that they have not" in told.tested(new)


def test_pooling_counts_the_networks_of_a_cell() -> None:
    assert told.pooled(evidence().run) == "One network."
    assert "by the mean of the up to 3" in told.pooled(evidence(fits=3).run)
    assert "its patient's cells" in told.pooled(evidence(fits=2).run)
    assert "its patient's cells" not in told.pooled(evidence(fits=2, by_image=True).run)
    apart = evidence(fits=2).run
    apart.fits[1].predictions["row"] += 0
    apart.fits[0] = replace(apart.fits[0], predictions=apart.fits[0].predictions[:2])
    apart.fits[1] = replace(apart.fits[1], predictions=apart.fits[1].predictions[2:])
    assert told.pooled(apart).endswith("a test cell once, by the one network that tests it.")


def test_a_split_by_image_says_what_it_did_and_not_what_it_might() -> None:
    found = evidence(by_image=True)
    assert "No patient happens to stand on two sides" in headline.shared(found)
    found.run.table["patient"] = None
    unknown = evidence(by_image=True)
    unknown.run.table["patient"] = None
    assert "may stand in training and test" in headline.shared(unknown)


def test_a_patient_with_one_tested_cell_has_no_most_influential_one() -> None:
    cells = pd.DataFrame({"patient": ["a", "b"], "name": ["a", "b"]})
    alone = SimpleNamespace(
        probabilities=np.array([[0.2, 0.8], [0.9, 0.1]]),
        run=SimpleNamespace(positive=1, classes=["normal", "all"]),
        cells=cells,
    )
    assert influential(alone).empty  # type: ignore[arg-type]


def checklists(found: Evidence, folder: Path) -> dict[tuple[str, str], dict]:
    answers = checklist.answers(Page(folder), found)
    return {(key, item["item"]): item for key, items in answers.items() for item in items}


def test_a_checklist_points_at_no_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    for item in checklists(evidence(), tmp_path).values():
        if item["answer"] == "file":
            assert item["where"] == "config.yaml"


@pytest.mark.parametrize("stage", ["wiener", "dhe", "mask", "crop"])
def test_a_checklist_names_the_steps_that_were_taken(stage: str, tmp_path: Path) -> None:
    items = checklists(evidence(f"+without={stage}"), tmp_path)
    for item in (items["tripod_ai", "12b"], items["claim_2024", "9"]):
        assert ("Wiener" in item["note"]) == (stage != "wiener")
        assert ("equalization" in item["note"]) == (stage != "dhe")
        assert ("on black" in item["note"]) == (stage != "mask")


def test_a_checklist_claims_neither_a_map_nor_a_threshold_that_was_not_made(tmp_path: Path) -> None:
    items = checklists(evidence("model=numbers"), tmp_path)
    assert items["claim_2024", "31"]["answer"] == "open"
    assert "no validation cells" in items["tripod_ai", "12f"]["note"]
    assert "no threshold was set" in items["tripod_ai", "15"]["note"]
    new = evidence(trained=False, tested=None)
    new = replace(new, run=replace(new.run, protocol=NEW_CELLS))
    assert checklists(new, tmp_path)["claim_2024", "33"]["answer"] == "section"
    assert checklists(new, tmp_path)["claim_2024", "32"]["answer"] == "open"
