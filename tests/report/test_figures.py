"""No label covers another one, and no colour tells what nothing else tells."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from oadls.patients import patient_table
from oadls.report.figures import (
    COLOURS,
    LINES,
    MARKERS,
    plot_cells,
    plot_flow,
    plot_measures,
    plot_patients,
    plot_precision_recall,
    plot_roc,
)
from oadls.report.paper import MEASURES, TABLE_2, printed

OURS = ["normal", "all"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts_overlap(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share area, and texts that leave the figure."""
    figure.canvas.draw()
    texts = [t for t in figure.findobj(plt.Text) if t.get_visible() and t.get_text().strip()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    rotated = {t.get_text() for t in texts if t.get_rotation() % 90}  # their boxes are too wide
    found = [
        (a, b)
        for (a, one), (b, other) in combinations(boxes, 2)
        if one.overlaps(other) and not {a, b} <= rotated
    ]
    frame = figure.bbox.padded(1)
    outside = [(a, "outside") for a, one in boxes if not frame.containsx(one.x1)]
    return found + outside


@pytest.mark.parametrize("number", [4, 14, 45])
def test_patients_of_any_number_keep_their_names(number: int) -> None:
    rng = np.random.default_rng(0)
    names = np.repeat([f"S{k:03d}" for k in range(number)], 5)
    labels = np.repeat(np.arange(number) % 2, 5)
    score = rng.random(len(names))
    table = patient_table(
        names, labels, np.stack([1 - score, score], 1), classes=["normal", "all"], positive=1
    )
    cells = pd.DataFrame({"patient": names, "probability": score})
    figure = plot_patients(table, cells, ["normal", "all"], "all")
    assert texts_overlap(figure) == []


@pytest.mark.parametrize("classes", [["normal", "all"], ["neutrophil", "lymphocyte", "monocyte"]])
def test_bars_of_table_2_keep_their_names(classes: list[str]) -> None:
    values = dict.fromkeys(MEASURES, 0.9)
    found = {**values, "per_class": dict.fromkeys(classes, values)}
    figure = plot_measures(found, classes, "test", "Testing (Fig. 7)")
    assert texts_overlap(figure) == []
    drawn = {line.get_label() for line in figure.axes[0].lines}
    assert ("printed in the paper" in drawn) == (classes == ["normal", "all"])


def test_the_flow_names_what_left() -> None:
    steps = [
        ("listed\n10661 images", ""),
        ("readable\n10660 cells of 73 patients", "− 1 bad files"),
        ("tested\n3527 cells of 24 patients", "− 7133 only in training or validation"),
    ]
    figure = plot_flow(steps)
    assert texts_overlap(figure) == []


def test_captions_of_cells_do_not_touch() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    cells = [([image, image], ["normal, called all (0.913)", "UID_11_12_3_all", "patient 11"])] * 9
    assert texts_overlap(plot_cells(cells)) == []


def test_classes_differ_in_more_than_colour() -> None:
    for kinds in (COLOURS, LINES, MARKERS):
        assert len(set(kinds)) == 5


def test_printed_values_are_those_of_table_2() -> None:
    # read off the paper: its training row stands again in Table 3
    overall = {
        side: [printed(side, measure, "overall", classes=OURS) for measure in MEASURES]
        for side in ("train", "test")
    }
    assert overall["train"] == [98.29, 98.28, 98.29, 98.29, 98.29]
    assert overall["test"] == [97.67, 97.70, 97.63, 97.63, 97.66]
    assert printed("val", "precision", "overall", classes=OURS) is None
    assert printed("test", "precision", "overall", classes=["a", "b"]) is None
    for side in TABLE_2.values():  # specificity of one class is sensitivity of the other
        assert side["sensitivity"]["normal"] == side["specificity"]["all"]
        assert side["sensitivity"]["all"] == side["specificity"]["normal"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 0, 0]])
def test_a_class_that_all_or_no_cells_are_of_has_no_curve(labels: list[int]) -> None:
    probabilities = np.full((3, 3), 1 / 3)
    for draw in (plot_precision_recall, plot_roc):
        figure = draw(np.array(labels), probabilities, ["a", "b", "c"], "title")
        (axis,) = figure.axes
        shown = {line.get_label() for line in axis.lines} & {"a", "b", "c"}
        assert shown == ({"a", "b"} if 1 in labels else set())
