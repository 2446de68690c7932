"""Is one model better than another on the same cells? One test knows about patients, two do not."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, rankdata

from oadls.metrics import SCORES
from oadls.statistics import (
    SAME,
    Weighing,
    block_widths,
    draws,
    few_groups,
    groups_with,
    macro_scores,
    reach_of,
)


def compare_paired(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    *,
    classes: Sequence[str],
    resamples: int = 2000,
    permutations: int = 5000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Differences of the macro scores of two models on the same cells, first minus second.

    labels : (N,) int; first, second : (N, K) float probabilities; groups : (N,) a patient each
    returns {"difference": {score: {"value", "interval": [low, high] or None, "p"}}, "groups",
        "groups_per_class", "exact": whether p counts every swap, "warning", "mcnemar", "delong"};
        value and p are None for an AUROC that does not exist
    The interval resamples groups, the same for both models; None with too few of them in a class,
    or when all resamples agree. p exchanges the models for whole groups (swap_test) and holds for
    few groups too, though with G of them it is never below 2 / 2^G. mcnemar and delong take cells
    for independent: with several cells a patient they find differences that are not there: at
    5 % they rejected 46 % and 58 % of 1,000 null ones where p rejected 5 to 6 %.
    """
    found, group = np.unique(groups, return_inverse=True)
    held = groups_with(labels, group, number=len(found), classes=len(classes))
    per_class = dict(zip(classes, held.sum(axis=0).tolist(), strict=True))
    models = [macro_scores(labels, model.argmax(axis=1), model, group) for model in (first, second)]
    once = np.ones((len(found), 1))
    value = (models[0](once) - models[1](once))[:, 0]  # (S,)
    warning = few_groups(per_class)
    reach = np.full(len(SCORES), np.nan)
    if not warning:
        drawn = draws(held, cells=len(labels), resamples=resamples, seed=seed)
        resampled = np.concatenate([models[0](w) - models[1](w) for w in drawn], axis=1)  # (S, R)
        spread = np.nanstd(resampled, axis=1, ddof=1)  # (S,)
        spread[spread < SAME] = np.nan  # no resample differs: nothing to go by
        reach = reach_of(list(per_class.values()), level=level) * spread
    mixture = mixed_scores(labels, first, second, group)
    blocks, exact = swaps(len(found), cells=len(labels), most=permutations, seed=seed)
    p = swap_test(mixture, value, blocks, exact=exact)
    return {
        "difference": {
            name: _row(*row) for name, *row in zip(SCORES, value, reach, p, strict=True)
        },
        "groups": len(found),
        "groups_per_class": per_class,
        "exact": exact,
        "warning": warning,
        "mcnemar": mcnemar(first.argmax(axis=1) == labels, second.argmax(axis=1) == labels),
        "delong": delong(labels == 1, first[:, 1], second[:, 1]) if len(classes) == 2 else None,
    }


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979).

    Below .05 they name a difference that is not there, be it a single one, in 5 % of all tables.
    p : None where a comparison has none, and does not count
    """
    known = sorted((value, k) for k, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    least = 0.0
    for rank, (value, k) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))  # never below a smaller one's
        found[k] = least
    return found


def stack(
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]], *, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two models' predictions.csv over several seeds, each cell once a seed, for compare_paired.

    A patient is drawn with the cells of all its seeds. A cell is known by its picture and name;
    by its path where a file of an older run says no more. Raises ValueError when a pair differs in
    its cells or their labels.
    returns labels (N,), probabilities of the first and of the second (N, K), groups (N,)
    """
    codes = {name: k for k, name in enumerate(classes)}
    columns = [f"prob_{name}" for name in classes]
    parts = []
    for pair in pairs:
        known = all("pixels_sha256" in each for each in pair)
        key = ["pixels_sha256", "name", "label"] if known else ["path", "label"]
        first, second = (each.sort_values(key, ignore_index=True) for each in pair)
        if first[key].to_numpy().tolist() != second[key].to_numpy().tolist():
            raise ValueError("comparison: two runs tested other cells, or with other labels")
        labels, groups = first["label"].map(codes).to_numpy(), first["group"].to_numpy()
        parts.append((labels, first[columns].to_numpy(), second[columns].to_numpy(), groups))
    labels, one, other, groups = (np.concatenate(column) for column in zip(*parts, strict=True))
    return labels, one, other, groups


def mixed_scores(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, group: np.ndarray
) -> Weighing:
    """Macro scores of mixtures of two models, which take some groups from one, some from the other.

    returns a function of (2G, R) weights, the first model's groups before the second's
    The AUROC sorts by the midrank of a cell within its own model (Venkatraman & Begg 1996): models
    that are calibrated differently would otherwise mix badly and hide a difference.
    """
    return macro_scores(
        np.tile(labels, 2),
        np.concatenate([first.argmax(axis=1), second.argmax(axis=1)]),
        np.concatenate([rankdata(first, axis=0), rankdata(second, axis=0)]),
        np.concatenate([group, group + group.max() + 1]),
    )


def swaps(groups: int, *, cells: int, most: int, seed: int) -> tuple[Iterator[np.ndarray], bool]:
    """Blocks of (G, R) 0 or 1, which groups exchange models; and whether these are all 2^G ways."""
    exact = 2**groups <= most
    total = 2**groups if exact else most

    def blocks() -> Iterator[np.ndarray]:
        rng, done = np.random.default_rng(seed), 0
        for width in block_widths(total, cells=2 * cells):
            if exact:
                yield np.arange(done, done + width) >> np.arange(groups)[:, None] & 1
            else:
                yield rng.integers(2, size=(groups, width))
            done += width

    return blocks(), exact


def swap_test(
    mixture: Weighing, value: np.ndarray, blocks: Iterator[np.ndarray], *, exact: bool
) -> np.ndarray:
    """Two-sided p: how often swapped groups differ by as much as the models do.

    mixture : from mixed_scores; value : (S,) differences observed; blocks, exact : from swaps
    returns (S,) float64, NaN where value is; plus one in both counts when the swaps are a sample
    """
    extreme, total = np.zeros(len(value)), 0
    for swap in blocks:
        one, other = np.concatenate([1 - swap, swap]), np.concatenate([swap, 1 - swap])  # (2G, R)
        difference = mixture(one) - mixture(other)  # (S, R)
        extreme += (np.abs(difference) >= np.abs(value)[:, None] - SAME).sum(axis=1)
        total += swap.shape[1]
    p = extreme / total if exact else (extreme + 1) / (total + 1)
    return np.where(np.isnan(value), np.nan, p)


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Exact test of equal accuracy (McNemar 1947), which takes cells for independent.

    first, second : (N,) bool, whether each model is right
    returns {"p": two-sided, "only_first", "only_second": cells that only this model has right}
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagree = only_first + only_second
    p = float(binomtest(only_first, disagree).pvalue) if disagree else 1.0
    return {"p": p, "only_first": only_first, "only_second": only_second}


def delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float] | None:
    """Test of equal AUROCs (DeLong et al. 1988), which takes cells for independent.

    positive : (N,) bool; first, second : (N,) float scores
    returns {"p": two-sided, "difference": first - second}; None with fewer than two cells of a side
    """
    if min(positive.sum(), (~positive).sum()) < 2:
        return None
    pair = _components(positive, first), _components(positive, second)
    up, down = pair[0][0] - pair[1][0], pair[0][1] - pair[1][1]
    difference = up.mean()
    error = np.sqrt(up.var(ddof=1) / len(up) + down.var(ddof=1) / len(down))
    # without any spread a difference is either none at all or certain
    p = 2 * norm.sf(abs(difference) / error) if error else difference == 0
    return {"p": float(p), "difference": float(difference)}


def _components(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What fraction of the other side each positive, (P,), and each negative cell, (Q,), beats.

    By midranks (Sun & Xu 2014); the mean of both is the AUROC.
    """
    rank = rankdata(score)
    up = rank[positive] - rankdata(score[positive])
    down = rank[~positive] - rankdata(score[~positive])
    return up / len(down), 1 - down / len(up)


def _row(value: float, reach: float, p: float) -> dict[str, Any]:
    ends = np.clip([value - reach, value + reach], -1, 1)
    return {
        "value": None if np.isnan(value) else float(value),
        "interval": None if np.isnan(ends).any() else ends.tolist(),
        "p": None if np.isnan(p) else float(p),
    }
