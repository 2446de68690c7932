"""Who trains, who validates, who tests: the protocols, and the check that none of them leaks.

Every protocol is a pure function of the table and a seed; the order of the rows does not matter.
"""

import dataclasses
import itertools
import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from oadls.data.deal import deal
from oadls.errors import UserError

log = logging.getLogger(__name__)

SIDES = ("train", "test", "val")  # when groups are scarce, the first get theirs first
SHOWN_SIDES = ("train", "val", "test")  # in the order of a sentence
LEAKS = ("group", "patient", "pixels_sha256")  # must not stand on two sides
FOLDS = ("fold_0", "fold_1", "fold_2")  # C-NMC's training part
PAPER_DRAW = {"normal": 1927, "all": 1948}


@dataclasses.dataclass(frozen=True)
class Split:
    """One assignment of cells to sides.

    protocol : name of the rule; says so when it is by image
    fold : number of the fold, 0 where there is only one
    turn : tells splits apart that test the same fold but validate on another
    repeat : tells apart the partitions of a repeated cross-validation
    side : "train", "val", "test" or "" (unused) of each cell; the index is the cell's name
    by_image : True when a patient may stand on two sides
    """

    protocol: str
    fold: int
    side: pd.Series
    by_image: bool = False
    turn: int = 0
    repeat: int = 0

    @property
    def name(self) -> str:
        """What files of this split are called: fold_0, and fold_0-turn_1-repeat_1 of others."""
        more = {"turn": self.turn, "repeat": self.repeat}
        return f"fold_{self.fold}" + "".join(f"-{key}_{n}" for key, n in more.items() if n)

    def rows(self, table: pd.DataFrame, side: str) -> pd.DataFrame:
        """The cells of one side, in the table's order."""
        return table[(table["name"].map(self.side) == side).to_numpy()]


def official(
    table: pd.DataFrame, *, seed: int = 0, rotate: int = 0, as_published: bool = False
) -> list[Split]:
    """C-NMC's own parts: train on fold_0 and fold_1, validate on fold_2, test on prelim.

    rotate : 1 validates on fold_0, 2 on fold_1
    as_published : keep the folds as they are, although one person stands in several of them
        under different names; the split then counts as by image
    Else the test stays whole, its patients leave the other sides, and a group in both training
    and validation goes whole to the side with most of its cells.
    raises UserError when the table has no such parts
    """
    del seed  # nothing is drawn; protocols share a signature
    held_out = FOLDS[(2 + rotate) % 3]
    sides = {fold: "val" if fold == held_out else "train" for fold in FOLDS} | {"prelim": "test"}
    side = table["part"].map(sides).fillna("").where(table["label"].notna(), "").to_numpy(str)
    for needed, parts in (("train", set(FOLDS) - {held_out}), ("val", {held_out})):
        if needed not in side:
            raise UserError(
                f"split: official takes {needed} from part {', '.join(sorted(parts))}; "
                f"the table has {', '.join(sorted(set(table['part'])))}"
            )
    if not as_published:
        side = _mend(table, side)
    protocol = "official_as_published_by_image" if as_published else "official"
    return [_split(table, side, protocol, fold=rotate, by_image=as_published)]


def paper(
    table: pd.DataFrame,
    *,
    seed: int,
    draw: Mapping[str, int] | None = None,
    test: float = 0.2,
    val: float = 0.1,
) -> list[Split]:
    """The paper's experiment, as far as it can be known: a draw of cells, split by image.

    draw : label -> number of cells, the paper's 1927 and 1948 by default; all numbers shrink by
        the same factor, and a warning says so, when a class has fewer
    test : fraction of the draw; val : fraction of the rest
    Draws from C-NMC's training part; from every labelled cell of another source.
    """
    draw = PAPER_DRAW if draw is None else draw
    side = np.full(len(table), "", dtype="<U5")
    pool = _labelled(table)
    if table["part"].isin(FOLDS).any():
        pool &= table["part"].isin(FOLDS)
    counts = table["label"][pool].value_counts()
    if set(counts.index) != set(draw):
        raise UserError(f"split: paper draws {sorted(draw)}, the table has {sorted(counts.index)}")
    scale = min(1.0, *(counts[label] / number for label, number in draw.items()))
    if scale < 1:
        log.warning("split: paper draws %.3f of its %s cells: fewer are there", scale, dict(draw))
    rng = np.random.default_rng(seed)
    for label in sorted(draw):
        rows = _by_name(table, pool & (table["label"] == label))
        rows = rng.permutation(rows)[: int(scale * draw[label] + 1e-9)]
        tested = round(test * len(rows))
        validated = round(val * (len(rows) - tested))
        side[rows] = "train"
        side[rows[:tested]] = "test"
        side[rows[tested : tested + validated]] = "val"
    return [_split(table, side, "paper_by_image", by_image=True)]


def grouped_kfold(
    table: pd.DataFrame, *, seed: int, folds: int = 5, val: float | str = "next", repeats: int = 1
) -> list[Split]:
    """Each group is tested once and is never split; the folds get equal shares of every class.

    repeats : how many times the groups are dealt anew; each cell is tested once in every repeat
    val : "next" validates on the following fold; "rotate" on each other fold in turn, so that a
        cell is tested by folds - 1 networks, whose mean counts; a fraction carves that share of
        groups from the training part
    The seed breaks ties: a few groups of unequal size have one best partition, whatever the seed.
    """
    whole_fold = val in ("next", "rotate") and folds >= 3
    if not whole_fold and (isinstance(val, str) or not 0 <= val < 1):
        raise UserError(
            f"split: val is 'next' or 'rotate' (with three folds or more) or a fraction, "
            f"got {val!r} with {folds} folds"
        )
    names, counts, members = _groups(table)
    if folds > len(names):
        raise UserError(f"split: {folds} folds need as many groups, the table has {len(names)}")
    if folds < 2 or repeats < 1:
        raise UserError(f"split: folds is 2 or more and repeats 1, got {folds} and {repeats}")
    turns = range(1, folds) if val == "rotate" else [1]
    splits = []
    for repeat in range(repeats):
        fold_of = _deal_folds(counts, folds, seed=seed, repeat=repeat)
        for fold, turn in itertools.product(range(folds), turns):
            rng = np.random.default_rng([seed + repeat, fold])
            validated = (fold + turn) % folds if isinstance(val, str) else float(val)
            side = _turn(fold_of, counts, fold=fold, folds=folds, val=validated, rng=rng)
            one = _split(table, _spread(side, members), "grouped_kfold", fold=fold)
            splits.append(dataclasses.replace(one, turn=turn - 1, repeat=repeat))
    return splits


def grouped_holdout(
    table: pd.DataFrame, *, seed: int, val: float = 0.15, test: float = 0.2
) -> list[Split]:
    """One draw of whole groups; every side gets a group of every class while there are enough.

    val, test : fractions of the cells of each class, met as nearly as whole groups allow
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UserError(f"split: val and test are fractions below 1 in sum, not {val} and {test}")
    _, counts, members = _groups(table)
    wanted = {"train": 1 - val - test, "test": test, "val": val}
    sides = [side for side in SIDES if wanted[side] > 0]
    dealt = deal(counts, [wanted[side] for side in sides], rng=np.random.default_rng(seed))
    return [_split(table, _spread(np.array(sides)[dealt], members), "grouped_holdout")]


def image_kfold(
    table: pd.DataFrame, *, seed: int, folds: int = 5, val: float | str = "next", repeats: int = 1
) -> list[Split]:
    """As `grouped_kfold`, with every image for itself: shows what a leaking split pretends."""
    alone = table.assign(group=table["name"])
    return [
        dataclasses.replace(split, protocol="image_kfold", by_image=True)
        for split in grouped_kfold(alone, seed=seed, folds=folds, val=val, repeats=repeats)
    ]


def check_split(table: pd.DataFrame, split: Split) -> None:
    """UserError when a group, patient or image stands on two sides, unless it is by image.

    Also when the training side lacks a class of the table; the other sides only get a warning.
    """
    side = table["name"].map(split.side)
    if side.isna().any() or not set(side) <= {*SIDES, ""}:
        raise UserError(f"split {split.protocol}: a side of {SIDES} or '' for every cell")
    if not split.by_image:
        leaks = find_leaks(table, split)
        for column in LEAKS:
            _refuse_leak(leaks[leaks["column"] == column], protocol=split.protocol)
    classes = set(table["label"].dropna())
    for name in SIDES:
        absent = sorted(classes - set(table["label"][side == name]))
        if absent and name == "train":
            raise UserError(f"split {split.protocol}: train has no cell of {', '.join(absent)}")
        if absent:
            log.warning(
                "split %s, fold %d: %s has no cell of %s",
                *(split.protocol, split.fold, name, ", ".join(absent)),
            )


def find_leaks(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Every group, patient and image that stands on two sides of a split.

    returns a row each: column ("group", "patient" or "pixels_sha256", as far as the table has
        them), value, sides ("train and test"), cells (number of its cells on those sides)
    """
    side = table["name"].map(split.side).to_numpy(dtype=object)
    found = [_two_sided(table[name], side) for name in LEAKS if name in table.columns]
    return pd.concat(found, ignore_index=True) if found else _leak_table([])


def _two_sided(values: pd.Series, side: np.ndarray) -> pd.DataFrame:
    used = (values.notna() & pd.notna(side) & (side != "")).to_numpy()
    counts = pd.crosstab(values.to_numpy()[used], side[used])
    counts = counts.reindex(columns=list(SHOWN_SIDES), fill_value=0)
    leaks = counts[(counts > 0).sum(axis=1) > 1]
    return _leak_table(
        [
            (values.name, value, " and ".join(np.array(SHOWN_SIDES)[row > 0]), int(row.sum()))
            for value, row in zip(leaks.index, leaks.to_numpy(), strict=True)
        ]
    )


def _leak_table(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["column", "value", "sides", "cells"])


def _refuse_leak(leaks: pd.DataFrame, *, protocol: str) -> None:
    if len(leaks):
        first = leaks.iloc[0]
        more = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
        raise UserError(
            f"split {protocol}: {first['column']} {first['value']} is in {first['sides']}{more}"
        )


def _mend(table: pd.DataFrame, side: np.ndarray) -> np.ndarray:
    """The sides of the official parts with every group whole."""
    mended = side.copy()
    used = pd.DataFrame({"group": table["group"].to_numpy(), "side": side})[side != ""]
    count = pd.crosstab(used["group"], used["side"]).reindex(columns=list(SIDES), fill_value=0)
    for group, train, test, val in count.itertuples(name=None):
        if (train > 0) + (test > 0) + (val > 0) < 2:
            continue
        rows = (table["group"] == group).to_numpy() & np.isin(side, ["train", "val"])
        mended[rows] = "" if test else "train" if train >= val else "val"
        log.warning(
            "split: group %s has %d cells in train, %d in val, %d in test; the first two: %s",
            *(group, train, val, test, "left out" if test else f"all to {mended[rows][0]}"),
        )
    return mended


def _groups(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The groups of the labelled cells.

    returns names (G,) sorted; counts (G, K) cells by class; members (N,) number of the group of
        each row, -1 for cells without label
    """
    labelled = _labelled(table).to_numpy()
    if not labelled.any():
        raise UserError("split: labelled cells are needed, the table has none")
    names, of_row = np.unique(table["group"].to_numpy(str)[labelled], return_inverse=True)
    classes, kind = np.unique(table["label"].to_numpy(str)[labelled], return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (of_row, kind), 1)
    members = np.full(len(table), -1)
    members[labelled] = of_row
    return names, counts, members


def _deal_folds(counts: np.ndarray, folds: int, *, seed: int, repeat: int) -> np.ndarray:
    """(G,) fold of each group; the first deal is the best balanced one.

    Later deals weigh the groups at random: few groups of unequal size have one best partition, and
    repeats of it would only repeat the networks.
    """
    weighed: np.ndarray = counts
    if repeat:
        blur = np.random.default_rng([seed, 1_000_003, repeat]).lognormal(0, 0.5, len(counts))
        weighed = counts * blur[:, None]
    return deal(weighed, [1.0] * folds, rng=np.random.default_rng(seed + repeat))


def _turn(
    fold_of: np.ndarray,
    counts: np.ndarray,
    *,
    fold: int,
    folds: int,
    val: float | int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(G,) side of each group when `fold` is tested; val is a fold (int) or a fraction (float)."""
    side = np.where(fold_of == fold, "test", "train").astype("<U5")
    if isinstance(val, int):
        side[fold_of == val] = "val"
    elif val > 0:
        rest = np.flatnonzero(side == "train")
        side[rest[deal(counts[rest], [1 - val, val], rng=rng) == 1]] = "val"
    return side


def _spread(side: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(N,) side of each cell from the side of its group."""
    return np.where(members < 0, "", side[members])


def _split(
    table: pd.DataFrame,
    side: np.ndarray,
    protocol: str,
    *,
    fold: int = 0,
    by_image: bool = False,
) -> Split:
    series = pd.Series(np.asarray(side, dtype=object), index=table["name"].to_numpy(), name="side")
    return Split(protocol, fold, series, by_image)


def _labelled(table: pd.DataFrame) -> pd.Series:
    return table["label"].notna()


def _by_name(table: pd.DataFrame, chosen: pd.Series) -> np.ndarray:
    """Positions of the chosen rows in the order of their names."""
    rows = np.flatnonzero(chosen.to_numpy())
    return rows[np.argsort(table["name"].to_numpy(str)[rows], kind="stable")]
