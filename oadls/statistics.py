"""Uncertainty that knows about patients: the cells of one patient are not independent."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta, t

from oadls.metrics import SCORES, class_scores

FEW_GROUPS = 10  # below this many groups in a class no interval is given: it would be too narrow
DENSE_GROUPS = 500  # up to here a table of wins, group against group, beats sorting the cells
SAME = 1e-12  # scores closer than this are equal but for rounding
BLOCK = 1_000_000  # cells times resamples at a time: some 8 MB an array, whatever their number

Weighing = Callable[[np.ndarray], np.ndarray]


def group_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    *,
    classes: Sequence[str],
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    unit: str = "patients",
) -> dict[str, Any]:
    """Bootstrap intervals of the macro scores, resampling whole groups (patients).

    labels : (N,) int; probabilities : (N, K) float; groups : (N,) any sortable, a patient each;
        np.arange(N) takes every cell for independent
    unit : what the warning calls the groups
    returns {"level", "resamples": number used, "groups": number, "groups_per_class", "intervals":
        {score: [low, high] or None}, "warning": empty, or why intervals are missing}
    Groups are drawn within their class when each holds one, else from all. An interval is the
    estimate plus and minus t standard errors of its logit (reach_of); there is none for a score on
    which all resamples agree, such as a perfect one. Resamples that lack a class are left out.
    How often a 95 % interval of AUROC, accuracy or macro precision holds the true value, over 1,000
    draws of patients with 4 to 40 cells each (scripts/measure_coverage.py):
        patients, correlation     20 + 20, 0.2  20 + 20, 0.5  0.5, AUROC 0.99  10 + 10, 0.5
        this interval             95 to 96 %    95 to 96 %    93 to 95 %       96 %
        percentiles of the same   92 to 93 %    90 to 92 %    83 to 88 %       87 to 90 %
        cells taken as groups     56 to 68 %    41 to 51 %    52 to 57 %       42 to 47 %
    Source: Field & Welsh 2007, "Bootstrapping clustered data"; Hesterberg 2015, "What teachers
    should know about the bootstrap".
    """
    found, group = np.unique(groups, return_inverse=True)
    held = groups_with(labels, group, number=len(found), classes=len(classes))
    per_class = dict(zip(classes, held.sum(axis=0).tolist(), strict=True))
    warning, used = few_groups(per_class, unit=unit), 0
    intervals: dict[str, list[float] | None] = dict.fromkeys(SCORES)
    if not warning:
        scores_of = macro_scores(labels, probabilities.argmax(axis=1), probabilities, group)
        estimate = scores_of(np.ones((len(found), 1)))[:, 0]  # (S,)
        drawn = draws(held, cells=len(labels), resamples=resamples, seed=seed)
        resampled = np.concatenate([scores_of(weights) for weights in drawn], axis=1)  # (S, R)
        resampled = resampled[:, ~np.isnan(resampled).any(axis=0)]
        reach, steps = reach_of(list(per_class.values()), level=level), _steps(labels)
        intervals = {
            name: _logit_interval(estimate[s], resampled[s], reach=reach, step=steps[name])
            for s, name in enumerate(SCORES)
        }
        warning, used = _flat(intervals), resampled.shape[1]
    return {
        "level": level,
        "resamples": used,
        "groups": len(found),
        "groups_per_class": per_class,
        "intervals": intervals,
        "warning": warning,
    }


def proportion_interval(
    hits: np.ndarray | int, total: np.ndarray | int, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of a proportion of independent cells (Clopper & Pearson 1934).

    hits, total : counts of any shapes that broadcast
    returns (low, high) float64 in [0, 1] of that shape, NaN where total is 0
    """
    hits, total = np.broadcast_arrays(np.asarray(hits, float), np.asarray(total, float))
    tail = (1 - level) / 2
    low = np.where(hits == 0, 0.0, beta.ppf(tail, hits, total - hits + 1))
    high = np.where(hits == total, 1.0, beta.ppf(1 - tail, hits + 1, total - hits))
    return np.where(total > 0, low, np.nan), np.where(total > 0, high, np.nan)


def groups_with(labels: np.ndarray, group: np.ndarray, *, number: int, classes: int) -> np.ndarray:
    """(G, K) bool: which classes each group holds."""
    held = np.zeros((number, classes), dtype=bool)
    held[group, labels] = True
    return held


def few_groups(per_class: dict[str, int], *, unit: str = "patients") -> str:
    """Why there is no interval: the classes that have too few groups. Empty when none has."""
    few = [f"{number} of {name}" for name, number in per_class.items() if number < FEW_GROUPS]
    if not few:
        return ""
    return (
        f"too few {unit} for an interval that can be trusted: {', '.join(few)}; "
        f"none is given below {FEW_GROUPS} of each class"
    )


def reach_of(per_class: Sequence[int], *, level: float) -> float:
    """How many bootstrap standard errors to go to either side, for the class with fewest groups.

    A bootstrap of n divides by n where n - 1 is due, and its percentiles are those of a normal
    where t is due: both make intervals of few groups too narrow (Hesterberg 2015).
    """
    fewest = min(per_class)
    return float(t.ppf((1 + level) / 2, fewest - 1) * np.sqrt(fewest / (fewest - 1)))


def draws(held: np.ndarray, *, cells: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of (G, R) float64: how often each group is drawn in each resample.

    held : (G, K) bool, the classes of each group. When every group has one, the number of groups of
        each class stays what it is, as it was when the patients were chosen.
    """
    rng = np.random.default_rng(seed)
    pure = bool((held.sum(axis=1) == 1).all())
    strata = [np.flatnonzero(column) for column in held.T] if pure else [np.arange(len(held))]
    for width in block_widths(resamples, cells=cells):
        weights = np.zeros((len(held), width))
        for members in strata:
            drawn = rng.integers(len(members), size=(len(members), width)) * width
            drawn += np.arange(width)
            counts = np.bincount(drawn.ravel(), minlength=len(members) * width)
            weights[members] = counts.reshape(len(members), width)
        yield weights


def block_widths(total: int, *, cells: int) -> list[int]:
    """Splits a number of resamples into blocks that fit in memory."""
    width = max(1, BLOCK // max(1, cells))
    return [min(width, total - first) for first in range(0, total, width)]


def macro_scores(
    labels: np.ndarray, predicted: np.ndarray, ranking: np.ndarray, group: np.ndarray
) -> Weighing:
    """The macro scores of metrics.py as a function of the weights of the groups.

    labels, predicted : (N,) int; ranking : (N, K) float, what the AUROC of each class sorts by
    group : (N,) int in [0, G)
    returns a function of (G, R) weights to (S, R) float64 in the order of SCORES; all NaN where a
        class that has cells gets no weight
    """
    number, classes = int(group.max()) + 1, ranking.shape[1]
    counts = np.zeros((number, classes, classes))
    np.add.at(counts, (group, labels, predicted), 1)
    present = np.flatnonzero(counts.sum(axis=(0, 2)))
    aurocs = _aurocs(labels, ranking, group)

    def of(weights: np.ndarray) -> np.ndarray:
        confusions = (weights.T @ counts.reshape(number, -1)).reshape(-1, classes, classes)
        each = class_scores(confusions)
        columns = {name: values[:, present].mean(axis=1) for name, values in each.items()}
        columns["accuracy"] = np.einsum("rii->r", confusions) / confusions.sum(axis=(1, 2))
        columns["auroc"] = np.mean([auroc(weights) for auroc in aurocs], axis=0)
        result = np.stack([columns[name] for name in SCORES])  # (S, R)
        result[:, (confusions.sum(axis=2)[:, present] == 0).any(axis=1)] = np.nan
        return result

    return of


def weighted_auroc(positive: np.ndarray, score: np.ndarray, group: np.ndarray) -> Weighing:
    """AUROC of cells as a function of the weights of their groups; a tie counts one half.

    positive : (N,) bool; score : (N,) float; group : (N,) int in [0, G)
    returns a function of (G, R) weights to (R,) float64, NaN where a side has no weight
    """
    number = int(group.max()) + 1
    order = np.argsort(score, kind="stable")
    positive, score, group = positive[order], score[order], group[order]
    if number <= DENSE_GROUPS:
        return _auroc_of_few(positive, score, group, number=number)
    return _auroc_of_many(positive, score, group)


def _auroc_of_few(
    positive: np.ndarray, score: np.ndarray, group: np.ndarray, *, number: int
) -> Weighing:
    """Sums a table of wins, (G, G), of the positive cells of a group over the negative of another.

    The cells are sorted by score.
    """
    wins = np.zeros((number, number))
    for loser in np.unique(group[~positive]):
        negative = score[~positive & (group == loser)]
        beaten = np.searchsorted(negative, score[positive], "left")
        beaten = beaten + np.searchsorted(negative, score[positive], "right")
        wins[:, loser] = np.bincount(group[positive], weights=beaten / 2, minlength=number)
    up = np.bincount(group[positive], minlength=number)
    down = np.bincount(group[~positive], minlength=number)

    def of(weights: np.ndarray) -> np.ndarray:
        won = np.einsum("gr,gr->r", weights, wins @ weights)
        return _divide(won, (up @ weights) * (down @ weights))

    return of


def _auroc_of_many(positive: np.ndarray, score: np.ndarray, group: np.ndarray) -> Weighing:
    """Sums the weights of the negative cells below each positive one. The cells are sorted."""
    negative = score[~positive]
    below = np.searchsorted(negative, score[positive], "left")
    upto = np.searchsorted(negative, score[positive], "right")
    winners, losers = group[positive], group[~positive]

    def of(weights: np.ndarray) -> np.ndarray:
        total = np.zeros((len(losers) + 1, weights.shape[1]))
        np.cumsum(weights[losers], axis=0, out=total[1:])
        beaten = total[below] if np.array_equal(below, upto) else (total[below] + total[upto]) / 2
        up = weights[winners]
        return _divide(np.einsum("nr,nr->r", up, beaten), up.sum(axis=0) * total[-1])

    return of


def _aurocs(labels: np.ndarray, ranking: np.ndarray, group: np.ndarray) -> list[Weighing]:
    """One-vs-rest AUROCs whose mean is the macro AUROC; classes without two sides are left out."""
    columns = [k for k in range(ranking.shape[1]) if 0 < (labels == k).sum() < len(labels)]
    if ranking.shape[1] == 2 and _mirrored(ranking):
        columns = columns[:1]  # the other one is equal
    found = [weighted_auroc(labels == k, ranking[:, k], group) for k in columns]
    return found or [lambda weights: np.full(weights.shape[1], np.nan)]


def _mirrored(ranking: np.ndarray) -> bool:
    """Whether the second of two columns sorts the cells as the first in reverse, ties included."""
    first, second = (np.unique(column, return_inverse=True)[1] for column in ranking.T)
    return bool(np.array_equal(first, second.max() - second))


def _steps(labels: np.ndarray) -> dict[str, float]:
    """Half of what one cell, or one pair of cells for an AUROC, changes: keeps logits finite."""
    cells = np.bincount(labels)
    steps = dict.fromkeys(SCORES, 0.5 / cells.sum())
    steps["auroc"] = 0.5 / (cells * (cells.sum() - cells)).min()
    return steps


def _logit_interval(
    estimate: float, resampled: np.ndarray, *, reach: float, step: float
) -> list[float] | None:
    """The estimate plus and minus reach standard errors of its logit; None if all resamples agree.

    estimate : in [0, 1]; resampled : (R,) of the same score
    """
    if np.ptp(resampled) < SAME:
        return None
    spread = logit(np.clip(resampled, step, 1 - step)).std(ddof=1)
    return expit(logit(estimate) + reach * spread * np.array([-1, 1])).tolist()


def _flat(intervals: dict[str, list[float] | None]) -> str:
    """Why a score has no interval although there are groups enough. Empty when all have one."""
    flat = [name for name, ends in intervals.items() if ends is None]
    return f"no interval for {', '.join(flat)}: every resample agrees" if flat else ""


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
