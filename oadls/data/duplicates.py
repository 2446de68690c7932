"""Find cells that are the same cell, and join the patients that share them.

Data sets hold one cell under two names, and one person as two: C-NMC's H3 is H10. Splits by patient
leak through such pairs, so they are found by content, in three steps: equal pixels; candidates by
perceptual hash; the detail of the two images laid over each other.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from oadls.data.read import read_image

log = logging.getLogger(__name__)

PAIR_COLUMNS = ("name_a", "name_b", "kind", "distance", "similarity", "same_label")
SIDE = 128  # pixels; images are compared at this size
TILE = (64, 2048)  # of the distance matrix; fits the processor's cache


def group_duplicates(
    table: pd.DataFrame,
    *,
    max_distance: int = 80,
    min_similarity: float = 0.7,
    patience: int = 200,
    read: Callable[[Path], np.ndarray] = read_image,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join cells that are the same image or show the same cell, with all that their groups hold.

    table : path, name, label, patient, pixels_sha256, phash (256 bits in hex); without phash only
        identical images are found
    max_distance : bits; pairs whose hashes differ in more are not looked at
    min_similarity : correlation of detail (see `similarity`) from which two images are one cell
    patience : candidates come closest first; stop after so many in a row that are different cells
    read : path -> (H, W, 3) uint8
    returns the table with `group` set to the patients that belong together ("51+78"), or to the
        names where no patient is known, and the pairs that were found between different groups:
        PAIR_COLUMNS, kind "identical" or "near". Pairs within one patient are not looked for:
        they cannot leak. Turned and mirrored copies are not found

    Measured, all pairs looked at by eye: 12 near pairs of ALL-IDB2 (distance 30 to 76, similarity
    0.83 to 0.99), 3 of wbc-jtsc (20 to 36, 0.85 to 0.87), those between patients of C-NMC (0 to 34,
    0.75 to 1.00) are one cell photographed twice. Different cells: distance from 20 (C-NMC, where
    the hash sees little but the outline), similarity up to 0.65. The hash alone cannot tell them.
    """
    order = np.argsort(table["name"].to_numpy(str), kind="stable")  # rows may come in any order
    cells = table.iloc[order].reset_index(drop=True)
    owner = cells["patient"].where(cells["patient"].notna(), cells["name"])
    group = pd.factorize(owner)[0]
    pairs, group = _join_identical(cells["pixels_sha256"], group)
    looked_at = tested = 0
    detail = lru_cache(maxsize=4096)(lambda i: _read_detail(cells["path"][i], read=read))
    candidates: Iterable[tuple[int, int, int]] = ()
    if "phash" in cells:
        candidates = _candidates(cells["phash"], group, max_distance=max_distance)
    for a, b, distance in candidates:
        if group[a] == group[b]:
            continue
        if looked_at == patience:
            break
        looked_at, tested = looked_at + 1, tested + 1
        alike = similarity(detail(a), detail(b))
        if alike >= min_similarity:
            pairs.append((a, b, "near", distance, alike))
            group = np.where(group == group[b], group[a], group)
            looked_at = 0
    log.info("duplicates: %d pairs between groups, %d candidates compared", len(pairs), tested)
    named = _name_groups(cells, group)
    result = table.assign(group=pd.Series(named, index=table.index[order], dtype=object))
    return result, _pair_table(cells, pairs)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two spectra of detail at the shift where they agree best, in [-1, 1].

    a, b : what `image_detail` returns
    A shifted crop, another brightness or another encoding of one cell leave it high.
    """
    return float(np.fft.irfft2(a * np.conj(b), s=(SIDE, SIDE)).max())


def image_detail(image: np.ndarray) -> np.ndarray:
    """The spectrum of what is finer than 3 / 128 of the image, of unit norm (0 for a flat image).

    image : (H, W, 3) uint8 RGB
    returns (SIDE, SIDE // 2 + 1) complex64
    Exactly black surround takes no part, nor does the outline beside it: on cut-out cells
    all outlines look alike.
    """
    small = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, dtype=np.float32)  # (SIDE, SIDE)
    picture = gray > 0
    weight = gaussian_filter(picture.astype(np.float32), 3)
    smooth = gaussian_filter(gray, 3) / np.maximum(weight, 1e-3)
    fine = np.where(binary_erosion(picture, iterations=3, border_value=1), gray - smooth, 0)
    norm = np.sqrt(np.sum(fine**2))
    return np.fft.rfft2(fine / max(norm, 1e-3)).astype(np.complex64)


def _read_detail(path: str, *, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    return image_detail(read(Path(path)))


def _join_identical(
    digests: pd.Series, group: np.ndarray
) -> tuple[list[tuple[int, int, str, int, float]], np.ndarray]:
    """Pairs of equal images in different groups, and the groups joined by them."""
    first = digests.groupby(digests).transform(lambda same: same.index[0]).to_numpy()
    pairs = [(int(a), b, "identical", 0, 1.0) for b, a in enumerate(first) if group[a] != group[b]]
    edges = np.array([(group[a], group[b]) for a, b, *_ in pairs], dtype=int).reshape(-1, 2)
    links = coo_array((np.ones(len(edges)), edges.T), shape=(group.max() + 1,) * 2)
    return pairs, connected_components(links, directed=False)[1][group]


def _candidates(
    hashes: pd.Series, group: np.ndarray, *, max_distance: int
) -> Iterator[tuple[int, int, int]]:
    """Pairs of different groups within the distance, closest first: (row, row, distance).

    Keeps the closest max(2000, N) of them. Every pair is compared, 64 bits at a time: 100,000 cells
    take a minute, and at distances of 30 bits and more no index by parts of the hash is faster.
    """
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8)
    words = np.ascontiguousarray(packed.reshape(len(hashes), -1).view(np.uint64).T)  # (4, N)
    limit, reach = max(2000, len(hashes)), max_distance
    closest = np.empty((0, 3), dtype=np.int64)  # (distance, row, row)
    for rows, columns in product(range(0, len(hashes), TILE[0]), range(0, len(hashes), TILE[1])):
        if columns + TILE[1] <= rows:
            continue  # below the diagonal
        distances = _hamming(words[:, rows : rows + TILE[0]], words[:, columns : columns + TILE[1]])
        a, b = np.nonzero(distances <= reach)
        found = np.stack([distances[a, b], a + rows, b + columns], axis=1).astype(np.int64)
        a, b = found[:, 1], found[:, 2]
        closest = np.concatenate([closest, found[(a < b) & (group[a] != group[b])]])
        if len(closest) > 2 * limit:
            closest = closest[np.lexsort(closest.T[::-1])][:limit]
            reach = int(closest[-1, 0])
    for distance, a, b in closest[np.lexsort(closest.T[::-1])][:limit].tolist():
        yield a, b, distance


def _hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(W, A) and (W, B) uint64 words -> (A, B) number of bits that differ."""
    distance = np.zeros((a.shape[1], b.shape[1]), dtype=np.uint16)
    for word_a, word_b in zip(a, b, strict=True):
        distance += np.bitwise_count(word_a[:, None] ^ word_b)
    return distance


def _name_groups(cells: pd.DataFrame, group: np.ndarray) -> np.ndarray:
    """The patients of each group, or its cells where none is known, joined by "+"."""

    def title(members: pd.DataFrame) -> str:
        known = members["patient"].dropna()
        names = sorted(set(known if len(known) else members["name"]))
        more = f"+{len(names) - 5} more" if len(names) > 6 else ""
        return "+".join(names[:5] if more else names) + more

    titles = {number: title(members) for number, members in cells.groupby(group)}
    return np.array([titles[number] for number in group], dtype=object)


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
