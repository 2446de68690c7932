"""Find cells that are the same cell, and join the patients that share them.

Data sets hold one cell under two names, and one person as two: C-NMC's H3 is H10. Splits by patient
leak through such pairs, so they are found by content, in three steps: equal pixels; candidates
whose hashes of detail stand side by side when all are sorted; the detail of the two images laid
over each other. The time grows as the number of cells does.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet

from oadls.data.detail import image_detail
from oadls.data.read import read_image

log = logging.getLogger(__name__)

PAIR_COLUMNS = ("name_a", "name_b", "kind", "distance", "similarity", "same_label")
ORDERS = 64  # in which the hashes are sorted
NEIGHBOURS = 16  # in each order that a hash is compared with
BLOCK = 4096  # hashes that are compared at a time; they fit the processor's cache


def group_duplicates(
    table: pd.DataFrame,
    *,
    max_distance: int = 64,
    min_similarity: float = 0.7,
    read: Callable[[Path], np.ndarray] = read_image,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join cells that are the same image or show the same cell, with all that their groups hold.

    table : path, name, label, patient, pixels_sha256, detail_hash (256 bits in hex); without
        detail_hash only identical images are found
    max_distance : bits; pairs whose hashes differ in more are not looked at
    min_similarity : correlation of detail (see `similarity`) from which two images are one cell
    read : path -> (H, W, 3) uint8
    returns the table with `group` set to the patients that belong together ("51+78"), or to the
        names where no patient is known, and the pairs that were found between different groups:
        PAIR_COLUMNS, kind "identical" or "near". Pairs within one patient are not looked for:
        they cannot leak. Turned and mirrored copies are not found

    Measured on all pairs of the images of three sets (5 folders of C-NMC, 3,598 cells). Copies,
    which are those of similarity 0.7 and more: 13 of ALL-IDB2 differ in 0 to 33 bits, 4 of wbc-jtsc
    in 0 to 54, 278 of 282 of C-NMC in up to 58, the others, within one patient and cut out
    differently, in 66 to 91. Different cells: 127 or 128 in the median, under 88 to 95 in one pair
    of a thousand, from 77 (ALL-IDB2), 80 (wbc-jtsc) and 59 on (C-NMC, between patients that were
    not joined: 7 of 5.8 million pairs within 64). Sorting found all pairs within 64 bits.
    All near pairs of ALL-IDB2 and wbc-jtsc and those between patients of C-NMC were looked at by
    eye: one cell photographed twice. Different cells of C-NMC reach a similarity of 0.696, where a
    bright speck outweighs the rest; their hashes are 117 bits apart.
    """
    order = np.argsort(table["name"].to_numpy(object), kind="stable")  # rows may come in any order
    cells = table.iloc[order].reset_index(drop=True)
    owner = pd.factorize(cells["patient"].where(cells["patient"].notna(), cells["name"]))[0]
    pairs = [(a, b, "identical", 0, 1.0) for a, b in _identical(cells["pixels_sha256"], owner)]
    groups = DisjointSet(owner.tolist())
    for a, b, *_ in pairs:
        groups.merge(owner[a], owner[b])
    known = "detail_hash" in cells
    near = _candidates(cells["detail_hash"], owner, max_distance=max_distance) if known else []
    detail = lru_cache(maxsize=128)(lambda i: image_detail(read(Path(cells["path"][i]))))
    for a, b, distance in near:
        if groups.connected(owner[a], owner[b]):
            continue
        alike = similarity(detail(a), detail(b))
        if alike >= min_similarity:
            pairs.append((a, b, "near", distance, alike))
            groups.merge(owner[a], owner[b])
    log.info("duplicates: %d pairs between groups, %d candidates", len(pairs), len(near))
    named = _name_groups(cells, [groups[number] for number in owner])
    result = table.assign(group=pd.Series(named, index=table.index[order], dtype=object))
    return result, _pair_table(cells, pairs)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two spectra of detail at the shift where they agree best, in [-1, 1].

    a, b : what `image_detail` returns
    A shifted crop, another brightness or another encoding of one cell leave it high.
    """
    return float(np.fft.irfft2(a * np.conj(b), s=(len(a), len(a))).max())


def _identical(digests: pd.Series, owner: np.ndarray) -> list[tuple[int, int]]:
    """(row, row) of images that are equal to the first of their kind and owned by another."""
    kind = pd.factorize(digests)[0]
    first = np.unique(kind, return_index=True)[1]
    rows = np.flatnonzero(owner[first[kind]] != owner)
    return list(zip(first[kind][rows].tolist(), rows.tolist(), strict=True))


def _candidates(
    hashes: pd.Series, owner: np.ndarray, *, max_distance: int
) -> list[tuple[int, int, int]]:
    """Pairs of different owners within the distance, closest first: (row, row, distance).

    Sorts the hashes by their bits, taken in one random order after another, and compares each with
    its neighbours: of close hashes some order shows the first bits equal (Charikar 2002).
    """
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(-1, 32)
    words = packed.view(np.uint64)  # (N, 4)
    shape = (257, len(words), len(words))  # of (distance, row, row) as one number
    found = np.empty(0, dtype=np.int64)
    for order in _orders(packed):
        new = [found]
        for start in range(0, len(order), BLOCK):
            rows = order[start : start + BLOCK + NEIGHBOURS]
            a, b, distance = _neighbours(words[rows], max_distance=max_distance)
            a, b = np.sort([rows[a], rows[b]], axis=0)
            other = owner[a] != owner[b]
            new.append(np.ravel_multi_index((distance[other], a[other], b[other]), shape))
        found = np.unique(np.concatenate(new))
    distance, a, b = np.unravel_index(found, shape)
    return list(zip(a.tolist(), b.tolist(), distance.tolist(), strict=True))


def _orders(packed: np.ndarray) -> Iterator[np.ndarray]:
    """(N, 32) uint8 hashes -> ORDERS times their rows, sorted by 64 of the 256 bits."""
    rng = np.random.default_rng(0)
    columns = np.ascontiguousarray(packed.T)  # (32, N)
    for _ in range(ORDERS):
        byte, bit = np.divmod(rng.permutation(256)[:64], 8)
        bits = columns[byte] & (128 >> bit).astype(np.uint8)[:, None]  # (64, N)
        key = np.packbits(bits, axis=0)  # (8, N)
        yield np.argsort(np.ascontiguousarray(key.T).view(np.uint64)[:, 0], kind="stable")


def _neighbours(
    words: np.ndarray, *, max_distance: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 4) sorted hashes -> row, later row and distance of the near ones among neighbours."""
    columns = np.ascontiguousarray(words.T)  # (4, N)
    first, second, distances = [], [], []
    for step in range(1, NEIGHBOURS + 1):
        differ = np.bitwise_count(columns[:, step:] ^ columns[:, :-step])
        distance = differ.sum(axis=0, dtype=np.uint16)  # (N - step,)
        near = np.flatnonzero(distance <= max_distance)
        first.append(near)
        second.append(near + step)
        distances.append(distance[near])
    return np.concatenate(first), np.concatenate(second), np.concatenate(distances)


def _name_groups(cells: pd.DataFrame, group: list[int]) -> list[str]:
    """The patients of each group, or its cells where none is known, joined by "+"."""
    patients: defaultdict[int, set[str]] = defaultdict(set)
    names: defaultdict[int, set[str]] = defaultdict(set)
    for number, patient, name in zip(group, cells["patient"], cells["name"], strict=True):
        if pd.isna(patient):
            names[number].add(name)
        else:
            patients[number].add(patient)
    titles = {number: _title(sorted(patients[number] or names[number])) for number in set(group)}
    return [titles[number] for number in group]


def _title(names: list[str]) -> str:
    """All names joined by "+", or the first five of more than six."""
    more = f"+{len(names) - 5} more" if len(names) > 6 else ""
    return "+".join(names[:5] if more else names) + more


def _pair_table(cells: pd.DataFrame, pairs: list[tuple[int, int, str, int, float]]) -> pd.DataFrame:
    """PAIR_COLUMNS; warns when one cell has two labels."""
    name = cells["name"]
    rows = [(name[a], name[b], kind, distance, alike) for a, b, kind, distance, alike in pairs]
    table = compare_labels(pd.DataFrame(rows, columns=list(PAIR_COLUMNS[:-1])), cells)
    for row in table[~table["same_label"]].itertuples():
        log.warning("duplicates: %s and %s are one cell with two labels", row.name_a, row.name_b)
    return table


def compare_labels(pairs: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The pairs with `same_label`: False where both labels are known and differ."""
    label = cells.set_index("name")["label"]
    a, b = pairs["name_a"].map(label), pairs["name_b"].map(label)
    return pairs.assign(same_label=(a.isna() | b.isna() | (a == b)).astype(bool))
