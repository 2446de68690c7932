"""Table 3 says what the runs say, what the paper prints, and who wins: no more than that."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from oadls.comparison import holm
from oadls.metrics import SCORES, scores
from oadls.report.paper import MEASURES, TABLE_3, contradictions, implied_specificity
from oadls.report.table3 import table_3
from oadls.report.table3_figures import plot_rows
from oadls.report.table3_page import write_table3
from oadls.report.table3_shown import MARK, notes, score_rows
from oadls.report.table3_verdict import verdict
from oadls.rows import Row
from oadls.statistics import group_intervals

CLASSES = ["normal", "all"]
PATIENTS = 24
SYSTEMS = {  # row -> how much noise its model has, and what its config says of it
    "cnn": (3.0, {"title": "CNN Model", "printed": "cnn", "method": "four convolutions"}),
    "vgg16": (0.9, {"title": "VGG16", "printed": "vgg16", "method": "frozen, then an SVM"}),
    "vgg16_finetuned": (6.0, {"title": "VGG16", "printed": "vgg16", "method": "trained whole"}),
    "oadls": (0.9, {"title": "OADLS-ALDC", "printed": "oadls", "method": "ACRNN"}),
    "linear_probe": (0.6, {"title": "Linear probe", "method": "logistic regression"}),
}


def finished(folder: Path, name: str, *, patients: int = PATIENTS, floors: bool = False) -> Row:
    """A row whose run has ended: its model sees each patient's class through noise."""
    noise, about = SYSTEMS[name]
    rng = np.random.default_rng(7 if name in ("vgg16", "oadls") else len(name))
    label = np.repeat(np.arange(patients) % 2, 8)
    group = np.repeat([f"P{k:02d}" for k in range(patients)], 8)
    score = 1 / (1 + np.exp(-(2 * label - 1 + rng.normal(0, noise, len(label)))))
    probabilities = np.stack([1 - score, score], axis=1)
    test = scored(label, probabilities, group)
    metrics: dict[str, Any] = {"classes": CLASSES, "test": test, "withheld": ""}
    metrics["pretrained"] = {"cnn": False, "vgg16": False, "oadls": True}.get(name)
    if floors:
        constant = np.tile([0.4, 0.6], (len(label), 1))
        metrics["floors"] = {"majority": scored(label, constant, group)}
    place = folder / name
    place.mkdir(parents=True)
    table = pd.DataFrame({"path": [f"{g}/{i}" for i, g in enumerate(group)], "group": group})
    table["label"] = np.array(CLASSES)[label]
    table[["prob_normal", "prob_all"]] = probabilities
    table.sample(frac=1, random_state=len(name)).to_csv(place / "predictions.csv", index=False)
    (place / "metrics.json").write_text(json.dumps(metrics))
    (place / "config.yaml").write_text("{}")
    model = {"head": None} if name in ("cnn", "oadls") else {"estimator": None}
    return Row(name, place, (), {"row": about, "tune": ["a=1", "a=2"], "model": model})


def scored(label: np.ndarray, probabilities: np.ndarray, group: np.ndarray) -> dict[str, Any]:
    found = scores(label, probabilities, classes=CLASSES)
    found["uncertainty"] = group_intervals(label, probabilities, group, classes=CLASSES)
    return found | {"uncertainty": found["uncertainty"] | {"unit": "a patient"}}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("table3")
    found = [finished(folder, name, floors=name == "oadls") for name in SYSTEMS]
    cost = {"parameters": 1234567, "trained": 1234, "multiply_adds": 5e8, "test_views": 2}
    cost |= {"training_seconds": 12.5, "inference_seconds": 3.25, "threads": 2}
    (folder / "cnn" / "cost.json").write_text(json.dumps(cost))
    lost = Row("gao_svm", folder / "gao_svm", (), {"row": {"title": "GAO", "printed": "gao_svm"}})
    return sorted([*found, lost], key=lambda row: row.place)


FAULTS = {"gao_svm": "killed by signal 9 (SIGKILL)"}


@pytest.fixture(scope="module")
def table(rows: list[Row]) -> pd.DataFrame:
    return table_3(rows, FAULTS).set_index("row", drop=False)


def test_rows_stand_as_in_the_paper_and_what_it_lacks_comes_last(table: pd.DataFrame) -> None:
    assert table.index.tolist() == [
        "cnn",
        "gao_svm",
        "vgg16",
        "vgg16_finetuned",
        "oadls",
        "linear_probe",
        "majority",
    ]
    assert table.loc[["vgg16", "vgg16_finetuned"], "title"].tolist() == [
        "VGG16 (frozen)",
        "VGG16 (trained whole)",
    ]


def test_every_number_is_the_one_of_its_run(table: pd.DataFrame, rows: list[Row]) -> None:
    for row in rows:
        if row.name in FAULTS:
            assert table.loc[row.name, list(SCORES)].isna().all()
            continue
        test = json.loads((row.folder / "metrics.json").read_text())["test"]
        for score in SCORES:
            ends = test["uncertainty"]["intervals"][score]
            assert table.loc[row.name, score] == test[score]
            assert table.loc[row.name, [f"{score}_low", f"{score}_high"]].tolist() == ends
    assert table.loc["cnn", "specificity_printed"] == pytest.approx(0.8918)
    assert pd.isna(table.loc["linear_probe", "precision_printed"])
    assert table.loc["cnn", "parameters"] == 1234567


def test_gains_are_those_over_each_row(table: pd.DataFrame) -> None:
    for name in ("cnn", "vgg16_finetuned", "linear_probe"):
        row = table.loc[name]
        difference = table.loc["oadls", "precision"] - row["precision"]
        assert row["precision_gain"] == pytest.approx(difference)
        assert row["precision_gain_low"] < difference < row["precision_gain_high"]
    assert table.loc["vgg16", "precision_gain"] == 0  # the same predictions in another order
    assert pd.isna(table.loc["oadls", "precision_gain"])


def test_p_is_corrected_over_the_rows_that_have_one(table: pd.DataFrame) -> None:
    p = table["precision_p"].dropna()
    assert len(p) == 4
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(table.loc[p.index, "precision_p_holm"], expected)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 × .01; 2 × .03; 1 × .04, but not below .06
        ([0.5, None, 0.6], [1.0, None, 1.0]),
        ([], []),
    ],
)
def test_holm_by_hand(p: list[float | None], expected: list[float | None]) -> None:
    assert holm(p) == pytest.approx(expected)


def test_the_verdict_says_who_wins_and_over_whom(table: pd.DataFrame) -> None:
    said = verdict(table)
    assert said.startswith("Linear probe has the highest macro precision")
    assert "place 2 of 5" in said or "place 3 of 5" in said  # vgg16 has the same score
    better = said.partition("excludes zero (")[2].partition(")), ")[0]
    assert "CNN Model" in better
    assert "VGG16 (trained whole" in better
    assert "worse than 1 (Linear probe)" in said
    assert said.endswith("failed, and are not counted: 1.")


def test_the_verdict_says_how_many_rows_are_better_than_what_is_trivial(
    table: pd.DataFrame,
) -> None:
    trivial = "the best trivial baseline, majority class"
    assert f"5 of 5 rows are above {trivial} (25.0 %)" in verdict(table)
    strong = table.copy()
    strong.loc["majority", "precision"] = table.loc["cnn", "precision"]
    # the noisiest row is below, the one that is equal is not above
    assert f"3 of 5 rows are above {trivial}" in verdict(strong)


def test_a_verdict_without_intervals_says_why(tmp_path: Path) -> None:
    rows = [finished(tmp_path, name, patients=12) for name in ("oadls", "cnn")]
    table = table_3(rows, {})
    assert table["precision_gain_low"].isna().all()
    assert "No difference has an interval (too few patients" in verdict(table)
    assert notes(table)[0] == (
        "Macro scores of 96 test cells of 12 groups in per cent. A group is a patient."
    )
    assert any(note.startswith("Every row: too few patients") for note in notes(table))
    assert "nothing is compared" in verdict(table_3(rows[1:], {}))
    assert verdict(table_3(rows, {"oadls": "lost", "cnn": "lost"})) == "No row has been trained."


def test_a_row_on_other_cells_is_not_compared(tmp_path: Path) -> None:
    rows = [finished(tmp_path, "oadls"), finished(tmp_path, "cnn", patients=26)]
    table = table_3(rows, {}).set_index("row")
    assert table.loc["cnn", "uncompared"] == "it tested other cells"


def test_a_printed_row_of_one_confusion_matrix_is_not_marked() -> None:
    true, missed, false, rest = 930, 70, 45, 755  # of two classes
    row = {
        "accuracy": 100 * (true + rest) / 1800,
        "precision": 100 * true / (true + false),
        "sensitivity": 100 * true / (true + missed),
        "specificity": 100 * rest / (rest + false),
        "f1": 100 * 2 * true / (2 * true + missed + false),
    }
    assert implied_specificity(row) == pytest.approx(row["specificity"])
    rounded = {name: round(value, 2) for name, value in row.items()}
    assert contradictions(rounded) == {}
    assert set(contradictions(rounded | {"specificity": 85.0})) == {"accuracy", "specificity"}
    assert set(contradictions(rounded | {"f1": 99.0})) == {"f1"}


def test_what_the_printed_rows_contradict() -> None:
    marked = {name: set(contradictions(row)) for name, row in TABLE_3.items()}
    assert marked.pop("oadls") == set()
    # four whose F1 fits, so that it is the specificity which is of another source
    without_f1 = {name for name, found in marked.items() if "f1" not in found}
    assert without_f1 == {"vgg16", "densenet121", "mobilenetv2", "inceptionv3"}
    outside = {name for name, found in marked.items() if "accuracy" in found} - without_f1
    assert outside == {"cnn", "vit", "gao_svm", "svm_cell_energy"}
    assert all("specificity" in found for found in marked.values())


def test_the_printed_table_is_that_of_the_paper() -> None:
    for row in TABLE_3.values():
        assert tuple(row) == MEASURES
    assert TABLE_3["gao_svm"]["precision"] == 89.01
    assert TABLE_3["inceptionv3"] | {} == dict(
        zip(MEASURES, (84.0, 87.1, 89.8, 91.27, 88.4), strict=True)
    )


def test_the_shown_table_has_a_line_here_and_one_as_printed(table: pd.DataFrame) -> None:
    shown = score_rows(table)
    lines = shown["model"].tolist()
    assert lines[:4] == [
        "CNN Model, from scratch",
        "as printed",
        "GAO: failed, killed by signal 9 (SIGKILL)",
        "as printed",
    ]
    assert "VGG16 (frozen), from scratch: random features" in lines
    assert shown["specificity"][1] == f"89.18{MARK}"
    low, high = 100 * table.loc["cnn", "precision_low"], 100 * table.loc["cnn", "precision_high"]
    expected = f"{100 * table.loc['cnn', 'precision']:.1f} ({low:.1f}–{high:.1f})"
    assert shown["precision"][0] == expected


def test_the_files_hold_the_table(rows: list[Row], tmp_path: Path, capsys) -> None:
    page = write_table3(tmp_path, rows, FAULTS).read_text()
    text = (tmp_path / "table3.md").read_text()
    saved = pd.read_csv(tmp_path / "table3.csv").set_index("row")
    printed = capsys.readouterr().out
    assert saved.loc["gao_svm", "failed"] == FAULTS["gao_svm"]
    for place in (page, text, printed):
        assert "failed, killed by signal 9" in place
        assert "CNN Model, from scratch" in place
        assert "Majority class" in place
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for one, other in pairwise(tables):
        assert one.count("|") == other.count("|") or other.startswith("| model")
    assert "1.23 M" in text
    assert (tmp_path / "figures" / "fig10.pdf").is_file()
    assert (tmp_path / "figures" / "fig11.png").is_file()


def test_a_table_of_failures_is_written_too(tmp_path: Path) -> None:
    lost = Row("cnn", tmp_path / "cnn", (), {})
    text = write_table3(tmp_path, [lost], {"cnn": "no | weights"}).read_text()
    assert "no | weights" in text
    assert "No row has been trained." in text


@pytest.mark.parametrize("measures", [("accuracy", "precision", "f1"), ("sensitivity",)])
def test_figures_show_ours_and_what_is_printed(table: pd.DataFrame, measures) -> None:
    figure = plot_rows(table, measures)
    axis = figure.axes[0]
    trained = table[(table["failed"] == "") & (table["row"] != "majority")]
    names = [" ".join(label.get_text().split()) for label in axis.get_yticklabels()]
    assert names == trained["title"].tolist()
    points = [line for line in axis.lines if len(line.get_xdata()) == 1]
    filled = {float(p.get_xdata()[0]) for p in points if p.get_markerfacecolor() != "none"}
    hollow = {float(p.get_xdata()[0]) for p in points if p.get_markerfacecolor() == "none"}
    assert filled == {100 * v for m in measures for v in trained[m]}
    expected = {100 * v for m in measures for v in trained[f"{m}_printed"].dropna()}
    assert hollow == expected
    figure.canvas.draw()
    frame = figure.bbox.padded(1)
    for label in (*axis.get_yticklabels(), *figure.legends[0].get_texts()):
        box = label.get_window_extent()
        assert frame.containsx(box.x0)
        assert frame.containsx(box.x1)
    plt.close(figure)
