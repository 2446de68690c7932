"""Figures that can go into a paper: PNG to look at, PDF to print."""

from pathlib import Path
from typing import Any

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oadls.pipeline import Stages, to_uint8

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.use": True,
}
NUCLEUS, CELL = (0, 114, 178), (230, 159, 0)
TRAIN, VAL = "#0072B2", "#D55E00"  # Okabe-Ito: told apart by colour-blind readers


def save(figure: Figure, path: Path) -> None:
    """Write path.png and path.pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=200)
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})
    plt.close(figure)


def plot_history(history: pd.DataFrame, path: Path) -> None:
    """Accuracy and loss by epoch (Figs. 8 and 9): a thin line a network, a thick one their mean."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(7, 2.8))
        for axis, metric in zip(axes, ("accuracy", "loss"), strict=True):
            for side, colour in (("train", TRAIN), ("val", VAL)):
                column = f"{side}/{metric}"
                for _, fit in history.groupby("network"):
                    axis.plot(fit["epoch"] + 1, fit[column], color=colour, lw=0.6, alpha=0.5)
                mean = history.groupby("epoch")[column].mean()
                label = {"train": "training", "val": "validation"}[side]
                axis.plot(mean.index + 1, mean, color=colour, lw=2, label=label)
            axis.set(xlabel="epoch", ylabel=metric)
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylim(top=1.005)
        axes[1].set_ylim(bottom=0)
        axes[0].legend(frameon=False)
        save(figure, path)


def plot_confusion(confusion: list[list[int]], classes: list[str], path: Path) -> None:
    """Confusion matrix of the test cells: counts, shaded by the share of the true class."""
    counts = np.array(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.7 * len(classes)
    with plt.rc_context({**STYLE, "axes.grid": False}):
        figure, axis = plt.subplots(figsize=(side, side))
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(*counts.shape):
            colour = "white" if share[i, j] > 0.6 else "black"
            text = f"{counts[i, j]}\n{share[i, j]:.1%}"
            axis.text(j, i, text, ha="center", va="center", color=colour)
        axis.set_xticks(range(len(classes)), classes)
        axis.set_yticks(range(len(classes)), classes)
        axis.set(xlabel="predicted", ylabel="true", title="Test cells")
        axis.spines[:].set_visible(False)
        save(figure, path)


def contact_sheet(stages: Stages, *, gap: int = 6) -> np.ndarray:
    """Every stage of one image side by side: original, filtered, equalized, outlines, cut out.

    returns (H, 5 W + 4 gap, 3) uint8 RGB on white
    """
    images = [to_uint8(x) for x in (stages.original, stages.smooth, stages.equalized)]
    cut_out = np.where(stages.mask[..., None] > 0, images[2], 0).astype(np.uint8)
    images += [outlines(images[0], stages.mask), cut_out]
    white = np.full((images[0].shape[0], gap, 3), 255, dtype=np.uint8)
    strips = [images[0]]
    for image in images[1:]:
        strips += [white, image]
    return np.concatenate(strips, axis=1)


def outlines(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with the border of the nucleus in blue and of the cell in orange."""
    width = max(1, image.shape[0] // 120)
    drawn = image.copy()
    for region, colour in ((mask > 0, CELL), (mask == 255, NUCLEUS)):
        edges, _ = cv2.findContours(
            region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(drawn, edges, -1, colour, width)
    return drawn
