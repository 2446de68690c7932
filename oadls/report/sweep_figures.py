"""Figures of a search: its history, what mattered, each setting by itself, all of them together."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oadls.report.figures import COLOURS, STYLE, panel

TOP, OTHERS = COLOURS[1], COLOURS[0]
AIMS = {"fitness": "validation precision (macro)", "seconds": "seconds for 1,000 cells"}
LOG = 50  # largest over smallest value from which a setting has a logarithmic axis


def plot_search(trials: pd.DataFrame) -> Figure:
    """Best validation precision of each trial, and the best so far."""
    figure, axis = panel((4.2, 2.8))
    done = trials[trials["state"] == "complete"]
    pruned = trials[trials["state"] == "pruned"]
    axis.plot(pruned["trial"], pruned["fitness"], "x", color="0.6", ms=4, label="ended early")
    axis.plot(done["trial"], done["fitness"], "o", color=OTHERS, ms=4, label="to the last epoch")
    best = done["fitness"].cummax()
    axis.step(done["trial"], best, where="post", color=TOP, lw=1.5, label="best so far")
    axis.set(xlabel="trial", ylabel=AIMS["fitness"])
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def plot_front(trials: pd.DataFrame, aims: Sequence[str]) -> Figure:
    """The first two aims of each trial; those on the Pareto front joined by a line."""
    figure, axis = panel((4.2, 2.8))
    first, second = aims[:2]
    front = trials[trials["on_front"]].sort_values(second)
    axis.plot(trials[second], trials[first], "o", color=OTHERS, ms=4)
    axis.step(front[second], front[first], "o-", where="post", color=TOP, ms=5, lw=1.5)
    for row in front.itertuples():
        axis.annotate(
            str(row.trial),
            (getattr(row, second), getattr(row, first)),
            (3, -9),
            textcoords="offset points",
            fontsize=7,
        )
    axis.set(xlabel=AIMS.get(second, second), ylabel=AIMS.get(first, first))
    return figure


def plot_importances(importances: dict[str, float]) -> Figure:
    """Share of the variance of the fitness that each setting explains."""
    names = list(importances)[::-1]
    figure, axis = panel((3.5, 0.28 * len(names) + 0.9))
    axis.barh([short(name) for name in names], [importances[n] for n in names], color=OTHERS)
    axis.grid(visible=False, axis="y")
    axis.set(xlabel="importance", xlim=(0, None))
    return figure


def plot_slices(trials: pd.DataFrame, searched: Sequence[str]) -> Figure:
    """The fitness against each setting by itself; the best trial in another colour."""
    columns = 4
    rows = -(-len(searched) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(7.2, 1.9 * rows), sharey=True)
    flat = np.atleast_1d(axes).ravel()
    best = _best(trials)
    for axis, name in zip(flat, searched, strict=False):
        place, ticks = positions(trials[name])
        spread = np.random.default_rng(0).uniform(-0.12, 0.12, len(place)) if ticks else 0
        for state, marker, colour in (("pruned", "x", "0.6"), ("complete", "o", OTHERS)):
            rows_of = (trials["state"] == state).to_numpy()
            axis.plot(
                (place + spread)[rows_of], trials["fitness"][rows_of], marker, color=colour, ms=3
            )
        axis.plot((place + spread)[best], trials["fitness"].iloc[best], "o", color=TOP, ms=5)
        _label(axis, name, trials[name], ticks)
    for axis in flat[len(searched) :]:
        axis.set_visible(False)
    figure.supylabel(AIMS["fitness"], fontsize=9)
    return figure


def plot_parallel(trials: pd.DataFrame, searched: Sequence[str]) -> Figure:
    """A line a trial through the values of its settings; darker is better, the best in colour."""
    with plt.rc_context({**STYLE, "axes.grid": False}):
        figure, axis = plt.subplots(figsize=(7.2, 3.0))
    names = [*searched, "fitness"]
    places = {name: positions(trials[name]) for name in searched}
    places["fitness"] = (trials["fitness"].to_numpy(), [])
    heights = np.stack([_unit(*places[name]) for name in names], axis=1)  # (T, P)
    order = trials["fitness"].rank(pct=True).to_numpy()
    for row in np.argsort(order):
        shade = str(round(0.92 - 0.72 * order[row] ** 3, 3))
        axis.plot(heights[row], color=shade, lw=0.8)
    best = _best(trials)
    axis.plot(heights[best], color=TOP, lw=2)
    for k, name in enumerate(names):
        axis.axvline(k, color="0.3", lw=0.8)
        values, ends = trials[name], places[name][1]
        ends = ends or [setting_text(values.min()), setting_text(values.max())]
        for height, text in zip(np.linspace(0, 1, len(ends)), ends, strict=True):
            axis.annotate(
                text, (k, height), (3, 0), textcoords="offset points", fontsize=7, va="center"
            )
    axis.set_xticks(range(len(names)), [short(name) for name in names], fontsize=8)
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set(xlim=(-0.1, len(names) - 0.55))
    return figure


def short(name: str) -> str:
    """ "lr" of "optimizer.lr"."""
    return name.split(".")[-1].replace("_", " ")


def setting_text(value: Any) -> str:
    """The value of a setting as a reader wants it: three digits of a number."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def positions(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Where values stand on an axis, (T,) float, and the names of the choices; none for numbers.

    Numbers that span orders of magnitude stand at their logarithm.
    """
    if values.nunique() <= 5 or not pd.api.types.is_float_dtype(values):
        choices = sorted(values.unique(), key=lambda v: (str(type(v)), v))
        codes = {choice: k for k, choice in enumerate(choices)}
        return values.map(codes).to_numpy(float), [setting_text(choice) for choice in choices]
    number = values.to_numpy(float)
    return (np.log10(number) if _is_log(values) else number), []


def _is_log(values: pd.Series) -> bool:
    return values.min() > 0 and values.max() / values.min() > LOG


def _unit(place: np.ndarray, ticks: list[str]) -> np.ndarray:
    low, high = (0, max(len(ticks) - 1, 1)) if ticks else (place.min(), place.max())
    return (place - low) / (high - low or 1)


def _label(axis: Any, name: str, values: pd.Series, ticks: list[str]) -> None:
    axis.set_title(short(name), fontsize=9)
    if ticks:
        axis.set_xticks(range(len(ticks)), ticks, fontsize=7)
        axis.set_xlim(-0.5, len(ticks) - 0.5)
    elif _is_log(values):
        low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
        powers = np.arange(low, high + 1, max(1, (high - low) // 3))
        axis.set_xticks(powers, [f"1e{int(power)}" for power in powers], fontsize=7)


def _best(trials: pd.DataFrame) -> int:
    done = trials["fitness"].where(trials["state"] == "complete")
    return int(np.nanargmax(done.to_numpy()))
