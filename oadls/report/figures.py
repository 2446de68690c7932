"""Figures that can go into a paper: PNG to look at, PDF to print."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from sklearn.metrics import precision_recall_curve, roc_curve

from oadls.publish import publish
from oadls.report.letters import make_readable, named
from oadls.report.paper import MEASURES, printed

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.use": True,
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito: told apart
TRAIN, VAL = COLOURS[:2]  # by colour-blind readers; lines and markers differ as well
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")
DPI = 200  # of a PNG
LONG = 14  # letters of a class, from which on names side by side would meet
PANEL = (3.5, 2.8)  # inches: half a page's width, and readable as wide as a phone


def save(figure: Figure, path: Path) -> None:
    """Write path.png and path.pdf, every text as it is (see `letters`)."""
    make_readable(figure)
    with publish(path.with_suffix(".png")) as draft:
        figure.savefig(draft, dpi=DPI)
    with publish(path.with_suffix(".pdf")) as draft:
        figure.savefig(draft, metadata={"CreationDate": None})
    plt.close(figure)


def panel(size: tuple[float, float] = PANEL, *, grid: bool = True) -> tuple[Figure, Any]:
    """A figure of one axis in the house style."""
    with plt.rc_context({**STYLE, "axes.grid": grid}):
        return plt.subplots(figsize=size)


def plot_history(history: pd.DataFrame, metric: str) -> Figure:
    """Accuracy or loss by epoch (Figs. 8 and 9): a thin line a network, a thick one their mean."""
    figure, axis = panel()
    for side, colour, line in (("train", TRAIN, "-"), ("val", VAL, "--")):
        column = f"{side}/{metric}"
        for _, fit in history.groupby("network"):
            axis.plot(fit["epoch"] + 1, fit[column], color=colour, lw=0.6, alpha=0.5, ls=line)
        mean = history.groupby("epoch")[column].mean()
        label = {"train": "training", "val": "validation"}[side]
        axis.plot(mean.index + 1, mean, color=colour, lw=2, label=label, ls=line)
    axis.set(xlabel="epoch", ylabel=metric)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylim(**({"top": 1.005} if metric == "accuracy" else {"bottom": 0}))
    axis.legend(frameon=False)
    return figure


def plot_confusion(confusion: list[list[int]], classes: list[str], title: str) -> Figure:
    """Confusion matrix (Fig. 5a): counts, shaded by the share of the true class."""
    counts = np.array(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = named(classes)
    longest = max(map(len, names))
    side, more = max(2.8, 1.6 + 0.7 * len(classes)), 0.07 * max(0, longest - LONG)
    figure, axis = panel((side * 1.1 + more, side + more / 2), grid=False)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        colour = "white" if share[i, j] > 0.6 else "black"
        text = f"{counts[i, j]}\n{share[i, j]:.1%}"
        axis.text(j, i, text, ha="center", va="center", color=colour)
    turned = len(classes) > 3 or longest > LONG
    axis.set_xticks(range(len(classes)), names, rotation=30 if turned else 0)
    axis.set_yticks(range(len(classes)), names)
    axis.set(xlabel="predicted", ylabel="true", title=title)
    axis.spines[:].set_visible(False)
    return figure


def plot_precision_recall(
    labels: np.ndarray, probabilities: np.ndarray, classes: list[str], title: str
) -> Figure:
    """Precision against sensitivity of every class (Fig. 5b); dotted: the class's share."""
    figure, axis = panel()
    for k, name in _two_sided(labels, named(classes)):
        precision, recall, _ = precision_recall_curve(labels == k, probabilities[:, k])
        axis.plot(recall, precision, color=COLOURS[k % 5], ls=LINES[k % 5], label=name)
        axis.axhline((labels == k).mean(), color=COLOURS[k % 5], lw=0.8, ls=":")
    axis.set(xlabel="sensitivity (recall)", ylabel="precision", title=title)
    axis.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    _legend(axis, frameon=False, loc="lower left")
    return figure


def plot_roc(
    labels: np.ndarray, probabilities: np.ndarray, classes: list[str], title: str
) -> Figure:
    """Sensitivity against false positives of every class (Fig. 5c)."""
    figure, axis = panel()
    for k, name in _two_sided(labels, named(classes)):
        false, true, _ = roc_curve(labels == k, probabilities[:, k])
        axis.plot(false, true, color=COLOURS[k % 5], ls=LINES[k % 5], label=name)
    axis.plot([0, 1], [0, 1], color="0.5", lw=0.8, ls=":")
    axis.set(xlabel="1 − specificity", ylabel="sensitivity", title=title)
    axis.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    _legend(axis, frameon=False, loc="lower right")
    return figure


def _legend(axis: Any, **place: Any) -> None:
    """A legend where there is a curve."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(**place)


def _two_sided(labels: np.ndarray, classes: list[str]) -> list[tuple[int, str]]:
    """The classes that some cells are of and others are not: the others have no curve."""
    return [(k, name) for k, name in enumerate(classes) if len(set(labels == k)) == 2]


def plot_measures(found: dict[str, Any], classes: list[str], side: str, title: str) -> Figure:
    """Table 2 as bars (Figs. 6 and 7), in per cent; diamonds are what the paper prints."""
    figure, axis = panel((3.6, 3.0))
    columns = [*classes, "overall"]
    width = 0.8 / len(columns)
    for k, (column, name) in enumerate(zip(columns, named(columns), strict=True)):
        scores = found if column == "overall" else found["per_class"][column]
        places = np.arange(len(MEASURES)) + (k - (len(columns) - 1) / 2) * width
        values = [100 * scores[measure] for measure in MEASURES]
        colour = "0.45" if column == "overall" else COLOURS[k % 5]
        axis.bar(places, values, width * 0.92, color=colour, label=name)
        paper = [printed(side, measure, column, classes=classes) for measure in MEASURES]
        if None not in paper:
            label = "printed in the paper" if column == "overall" else None
            axis.plot(places, paper, "D", ms=3.5, mfc="white", mec="black", label=label)
    names = [measure[:4] + "." if len(measure) > 9 else measure for measure in MEASURES]
    axis.set_xticks(range(len(MEASURES)), names, rotation=25)
    axis.set(ylabel="per cent", title=title)
    lowest = min(bar.get_height() for bar in axis.patches)
    axis.set_ylim(max(0, 10 * np.floor(lowest / 10) - 10), 101)
    axis.grid(axis="x", visible=False)
    figure.legend(frameon=False, ncols=2, loc="outside lower center", fontsize=8)
    return figure


def plot_reliability(stages: dict[str, pd.DataFrame], xlabel: str) -> Figure:
    """Observed share against predicted probability, with Clopper-Pearson bars."""
    figure, axis = panel()
    axis.plot([0, 1], [0, 1], color="0.5", lw=0.8, ls=":")
    for (name, table), colour, marker, shift in zip(
        stages.items(), COLOURS, MARKERS, (-0.006, 0.006), strict=False
    ):
        below = table["observed"] - table["observed_low"]
        above = table["observed_high"] - table["observed"]
        axis.errorbar(
            table["confidence"] + shift,
            table["observed"],
            yerr=[below.clip(lower=0), above.clip(lower=0)],
            color=colour,
            marker=marker,
            ms=4,
            lw=1.2,
            elinewidth=0.8,
            label=name,
        )
    axis.set(xlabel=xlabel, ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axis.legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def plot_patients(
    patients: pd.DataFrame, cells: pd.DataFrame, classes: list[str], positive: str
) -> Figure:
    """Probability of the positive class of every cell, and its mean, patient by patient.

    patients : `patients.patient_table`; cells : patient, probability of the positive class
    """
    order = patients.sort_values(["label", "probability"])["patient"].tolist()
    figure, axis = panel((max(4.4, min(9.0, 1.2 + 0.22 * len(order))), 3.0))
    rng = np.random.default_rng(0)
    known = patients.set_index("patient")
    for k, (name, short) in enumerate(zip(classes, named(classes), strict=True)):
        mine = [(x, patient) for x, patient in enumerate(order) if known["label"][patient] == name]
        for x, patient in mine:
            values = cells.loc[cells["patient"] == patient, "probability"].to_numpy()
            places = x + rng.uniform(-0.28, 0.28, len(values))
            style: Any = {"ms": 2, "color": COLOURS[k % 5], "alpha": 0.25, "zorder": 1}
            axis.plot(places, values, ".", rasterized=True, **style)
        means = [known["probability"][patient] for _, patient in mine]
        axis.plot(
            [x for x, _ in mine],
            means,
            MARKERS[k % 5],
            mfc=COLOURS[k % 5],
            mec="white",
            ms=6.5,
            label=f"{short}, mean",
        )
    axis.axhline(0.5, color="0.3", lw=0.8, ls="--")
    axis.set_xticks(
        range(len(order)), named(order), rotation=90, fontsize=7 if len(order) > 14 else 8
    )
    axis.set(ylabel=f"probability of {named([positive])[0]}", ylim=(-0.03, 1.03), xlabel="patient")
    axis.grid(axis="x", visible=False)
    figure.legend(frameon=False, ncols=2, loc="outside upper center", fontsize=8)
    return figure


def plot_flow(steps: list[tuple[str, str]]) -> Figure:
    """Boxes from top to bottom: (what remains, what left before it or empty)."""
    figure, axis = plt.subplots(figsize=(4.6, 0.85 * len(steps)), layout="constrained")
    axis.set(xlim=(0, 1), ylim=(-len(steps) + 0.55, 0.45))
    axis.axis("off")
    for i, (kept, left) in enumerate(steps):
        box: Any = {"boxstyle": "round,pad=0.45", "fc": "#eef4fa", "ec": COLOURS[0]}
        axis.text(0.27, -i, kept, ha="center", va="center", fontsize=9, bbox=box)
        if i:
            arrow = {"arrowstyle": "->", "color": "0.3"}
            axis.annotate("", (0.27, -i + 0.32), (0.27, -i + 0.68), arrowprops=arrow)
        if left:
            axis.text(0.57, -i + 0.5, left, ha="left", va="center", fontsize=8, color="0.25")
    return figure


def plot_share_inside(groups: dict[str, np.ndarray], chance: float) -> Figure:
    """How much of the saliency of each cell falls on the cell: a point a cell, a bar the median."""
    figure, axis = panel()
    rng = np.random.default_rng(0)
    for k, (_, values) in enumerate(groups.items()):
        places = k + rng.uniform(-0.2, 0.2, len(values))
        axis.plot(places, values, MARKERS[k % 5], ms=2.5, color=COLOURS[k % 5], alpha=0.5)
        if len(values):
            axis.plot([k - 0.3, k + 0.3], [np.median(values)] * 2, color="black", lw=2)
    axis.axhline(chance, color="0.3", lw=1, ls="--", label="share of the picture that is cell")
    names = [f"{name}\n(n = {len(values)})" for name, values in groups.items()]
    axis.set_xticks(range(len(groups)), names)
    axis.set(ylabel="share of saliency on the cell", ylim=(0, 1.02), xlim=(-0.6, len(groups) - 0.4))
    axis.grid(axis="x", visible=False)
    figure.legend(frameon=False, fontsize=8, loc="outside upper center")
    return figure


def plot_cells(cells: list[tuple[Any, Any]]) -> Figure:
    """Pictures of cells on one sheet: (images side by side, lines of the caption) each.

    All pictures are one image of the figure: an axis for each would take seconds to lay out.
    """
    side, gap = 160, 8  # px
    wide = max(len(images) for images, _ in cells)
    lines = max(len(caption) for _, caption in cells)
    columns = min(len(cells), max(1, 8 // wide))
    rows = -(-len(cells) // columns)
    across, down = wide * side + 4 * gap, side + 26 * lines + 2 * gap
    sheet = np.full((rows * down, columns * across, 3), 255, dtype=np.uint8)
    figure = plt.figure(figsize=(sheet.shape[1] / 160, sheet.shape[0] / 160))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    for number, (images, caption) in enumerate(cells):
        top, left = (number // columns) * down, (number % columns) * across
        for place, image in enumerate(images):
            x = left + place * side
            sheet[top : top + side, x : x + side - 2] = _square(image, side)[:, 2:]
        text = "\n".join(caption)
        axis.text(left, top + side + gap, text, fontsize=6, va="top", ha="left", linespacing=1.3)
    axis.imshow(sheet)
    return figure


def _square(image: np.ndarray, side: int) -> np.ndarray:
    """Scaled to fit (side, side, 3), white where it does not reach."""
    picture = Image.fromarray(image)
    picture = ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS)
    return np.asarray(ImageOps.pad(picture, (side, side), color="white"))
