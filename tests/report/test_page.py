"""report.html holds the evidence, opens without a network, and can be read on a phone."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from oadls.evaluate import evaluate
from oadls.report.__main__ import main
from tests.browser import opened
from tests.runs import composed, thinned_all_idb2, thinned_fold_1, train_in

pytestmark = pytest.mark.usefixtures("own_cache")

SECTIONS = [
    *("headline", "data", "scores", "patients", "uncertainty", "calibration", "abstention"),
    *("explain", "mistakes", "method", "card", "checklist"),
]
SMALL = (
    "training.epochs=1",
    "training.views=1",
    "training.test_views=1",
    "model.backbone.size=96",
)
PLANE = ("+model.head.plane.side=32", "+model.head.plane.width=8")  # of the ACRNN
GROUPED = "split=grouped_kfold"
DRAWN = (
    "name=drawn",
    "split.folds=2",
    "data.patients=24",
    "data.cells_per_patient=3",
)
TOO_WIDE = """
return [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > window.innerWidth + 1)
  .map(e => e.tagName + ' ' + e.className);
"""
CLIPPED = """
return [...document.querySelectorAll('h1, h2, h3, p, td, th, figcaption, .tile, nav a')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map(e => e.tagName + ': ' + e.textContent.slice(0, 60));
"""
EMPTY_IMAGES = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length;"
CONTRAST = """
const light = c => { const v = c.match(/\\d+/g).slice(0, 3).map(x => { x /= 255;
  return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
return Math.min(...[...document.querySelectorAll('p, td, th, figcaption, a, span, b, h1, h2')]
  .map(e => 1.05 / (light(getComputedStyle(e).color) + 0.05)));
"""


@pytest.fixture(scope="module")
def drawn(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn patients, the paper's network with attention, two folds."""
    return train_in(tmp_path_factory.mktemp("drawn"), GROUPED, *DRAWN, *SMALL, *PLANE)


@pytest.fixture(scope="module")
def no_patients(own_cache: None, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ALL-IDB2, thinned: real images whose patients are not known."""
    root = thinned_all_idb2(data_dir, tmp_path_factory.mktemp("all-idb2"), every=8)
    settings = ("+experiment=all_idb2", f"data.root={root}", "split.folds=2", *SMALL, *PLANE)
    return train_in(tmp_path_factory.mktemp("idb"), *settings)


@pytest.fixture(scope="module")
def real_patients(
    own_cache: None, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """C-NMC fold_1, thinned: 14 real patients, a head without attention."""
    root = thinned_fold_1(data_dir, tmp_path_factory.mktemp("c-nmc"), every=30)
    settings = ("+experiment=c_nmc_fold1", f"data.root={root}", *SMALL)
    return train_in(tmp_path_factory.mktemp("cnmc"), *settings)


@pytest.mark.parametrize("run", ["drawn", "no_patients", "real_patients"])
def test_every_run_has_every_section_and_file(run: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(run)
    html = (folder / "report.html").read_text()
    assert re.findall(r'<section id="(\w+)">', html) == SECTIONS
    figures = {file.stem for file in (folder / "figures").glob("*.png")}
    assert figures == {file.stem for file in (folder / "figures").glob("*.pdf")}
    assert {
        *("flow", "samples", "stages", "features", "measures_train", "measures_test"),
        *("confusion_test", "precision_recall_test", "roc_test", "accuracy", "loss"),
        *("reliability", "share_inside", "mistakes"),
    } <= figures
    tables = {file.stem for file in (folder / "tables").glob("*.csv")}
    assert {
        *("table_1", "table_2", "headline", "groups", "intervals", "comparisons", "calibration"),
        *("threshold", "coverage_by_class", "share_inside", "mistakes", "settings"),
        *("model_card", "tripod_ai", "claim_2024"),
    } <= tables
    assert "http" not in re.sub(r'"data:image[^"]*"', "", html)


@pytest.mark.parametrize("run", ["drawn", "no_patients", "real_patients"])
@pytest.mark.parametrize(("width", "mobile"), [(1280, False), (390, True)])
def test_it_can_be_read_at_a_desk_and_on_a_phone(
    run: str, width: int, mobile: bool, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(run) / "report.html"
    with opened(page, width=width, mobile=mobile) as browser:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(TOO_WIDE) == []
        assert browser.execute_script(CLIPPED) == []
        assert browser.execute_script(EMPTY_IMAGES) == 0
        assert browser.execute_script(CONTRAST) > 4.5  # WCAG AA, on white
        assert browser.get_log("browser") == []
        requests = [json.loads(entry["message"]) for entry in browser.get_log("performance")]
        urls = {
            event["message"]["params"]["request"]["url"]
            for event in requests
            if event["message"]["method"] == "Network.requestWillBeSent"
        }
        assert {url.split(":")[0] for url in urls} <= {"file", "data", "chrome"}


def test_patients_are_shown_where_they_are_known(real_patients: Path, no_patients: Path) -> None:
    patients = pd.read_csv(real_patients / "tables" / "patients.csv", dtype={"patient": str})
    assert len(patients) == 14
    assert "H10" in set(patients["patient"])
    assert "Patients are not recorded" in (no_patients / "report.html").read_text()
    assert not (no_patients / "tables" / "patients.csv").exists()
    metrics = json.loads((real_patients / "metrics.json").read_text())
    decided = {row["decision"]: row for row in metrics["patient_decisions"]}
    assert decided["by_mean"]["patients"] == 14
    assert decided["by_mean"]["right"] == int(patients["right_by_mean"].sum())


def test_too_few_patients_get_no_interval(real_patients: Path, drawn: Path) -> None:
    few = json.loads((real_patients / "metrics.json").read_text())
    assert few["headline"]["precision"]["interval"] is None
    assert "3 of normal" in few["test"]["uncertainty"]["warning"]
    enough = json.loads((drawn / "metrics.json").read_text())
    low, high = enough["headline"]["auroc"]["interval"]
    assert low < enough["headline"]["auroc"]["value"] < high


def test_printed_values_of_the_paper_stand_beside_ours(drawn: Path) -> None:
    table = pd.read_csv(drawn / "tables" / "table_2.csv")
    row = table[(table["split"] == "Testing") & (table["measure"] == "precision")].iloc[0]
    assert row["overall printed"] == 97.7
    metrics = json.loads((drawn / "metrics.json").read_text())
    assert row["overall"] == pytest.approx(100 * metrics["test"]["precision"])
    assert row["all"] == pytest.approx(100 * metrics["test"]["per_class"]["all"]["precision"])


def test_a_finished_run_is_reported_again_and_compared(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (drawn / "tables" / "patients.csv").read_text()
    more = ("name=rival", "model/head=linear_probe", "report=false")
    other = train_in(tmp_path / "other", GROUPED, *DRAWN[1:], *SMALL, *more)
    assert not (other / "report.html").exists()
    assert main([f"run={drawn}", f"against={other}"]) == 0
    assert (drawn / "tables" / "patients.csv").read_text() == before
    compared = pd.read_csv(drawn / "tables" / "comparisons.csv")
    assert "rival" in set(compared["other"])
    assert main([f"run={tmp_path}"]) == 1
    assert "no finished run" in capsys.readouterr().err
    assert main([]) == 2


def test_a_leaking_split_gets_no_headline(tmp_path: Path) -> None:
    folder = train_in(tmp_path, *DRAWN, *SMALL, *PLANE, "split=image_kfold", "floors=false")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"] is None
    assert re.match(r"\d+ patients stand on two sides", metrics["withheld"])
    assert "headline_leaks=true" in metrics["withheld"]
    html = (folder / "report.html").read_text()
    assert 'class="tiles"' not in html
    assert "headline_leaks=true" in html


def test_an_evaluation_of_other_cells_says_what_it_cannot_know(drawn: Path, tmp_path: Path) -> None:
    others = ("data=synthetic", "data.patients=30", "data.cells_per_patient=2", "data.seed=7")
    evaluate(composed("evaluate", f"checkpoint={drawn}", *others), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert re.findall(r'<section id="(\w+)">', html) == SECTIONS
    assert "no validation cells here" in html
    assert "Training data</td><td>See the run that trained the checkpoint" in html
    before = (tmp_path / "tables" / "table_2.csv").read_text()
    assert main([f"run={tmp_path}"]) == 0
    assert (tmp_path / "tables" / "table_2.csv").read_text() == before


def test_a_repeated_cross_validation_is_one_report(tmp_path: Path) -> None:
    more = ("split=repeated_kfold", "split.repeats=2", "model/head=linear_probe", "floors=false")
    folder = train_in(tmp_path, *DRAWN, *more, *SMALL)
    repeats = pd.read_csv(folder / "tables" / "repeats.csv")
    assert list(repeats["repeat"]) == ["0", "1", "mean", "standard deviation"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["folds"]) == 4
    assert metrics["test"]["cells"] == 72  # each cell once, by the mean of its two networks
    values = [repeat["auroc"] for repeat in metrics["repeats"]]
    assert repeats["auroc"].iloc[2] == pytest.approx(sum(values) / 2)
    assert len(set(values)) == 2
