"""A source's list of files -> the checked table of cells that everything else works on."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oadls.cache import Cache
from oadls.data.duplicates import PAIR_COLUMNS, compare_labels, group_duplicates
from oadls.data.read import BadImage, inspect_image
from oadls.data.table import Cells, leave_out, validate
from oadls.parallel import batches, run_blocks
from oadls.recipe import code_hash, library_versions

FACTS = ("height", "width", "pixels_sha256", "detail_hash", "black_fraction")


def collect(source: Callable[[], Cells], *, max_bad: float) -> Cells:
    """List the files, leave the bad ones out, join the patients that share an image.

    source : lists the files (path, label, patient, ...) without opening them
    max_bad : fraction of bad images above which nothing runs
    returns cells whose table has the facts of each image and its group; UserError when too many
        images are bad. An image that was seen before, unchanged in size and time, is not opened,
        nor is any image of a source that knows pixels_sha256 itself: it may have none to open
    """
    cells = source()
    if "pixels_sha256" not in cells.table:
        cells = _add_facts(cells, max_bad=max_bad)
    return validate(replace(cells, table=join_duplicates(cells.table)))


def _add_facts(cells: Cells, *, max_bad: float) -> Cells:
    facts, bad = inspect_all(cells.table["path"].tolist())
    cells = leave_out(cells, bad, max_bad=max_bad)
    table = cells.table.drop(columns=list(FACTS), errors="ignore").reset_index(drop=True)
    return replace(cells, table=pd.concat([table, facts], axis=1))


def join_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its groups; found once for each set of images, then read from the cache."""
    groups = pd.Series(_duplicates(table)["groups"], index=table["name"].sort_values())
    return table.assign(group=table["name"].map(groups))


def duplicate_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs by which the groups of the same table were joined: PAIR_COLUMNS."""
    pairs = pd.DataFrame(_duplicates(table)["pairs"], columns=list(PAIR_COLUMNS[:-1]))
    return compare_labels(pairs, table)


def _duplicates(table: pd.DataFrame) -> dict:
    """Groups in the order of names, and pairs without what depends on labels.

    From the cache, or found now.
    """
    known = [c for c in ("name", "patient", "pixels_sha256", "detail_hash") if c in table.columns]
    columns = table[known].sort_values("name")
    digest = hashlib.sha256()
    for part in batches(columns, 10_000):  # the text of a large table is large
        digest.update(part.to_csv(index=False).encode())
    key = digest.hexdigest()
    recipe = {"code": code_hash("oadls.data.duplicates"), "libraries": library_versions()}
    cache = Cache("groups", recipe)
    if key not in cache:
        joined, pairs = group_duplicates(table)
        groups = joined.set_index("name")["group"].reindex(columns["name"]).tolist()
        rows = pairs[list(PAIR_COLUMNS[:-1])].to_numpy(dtype=object).tolist()
        cache.write({key: {"groups": _encode(groups), "pairs": _encode(rows)}})
    return {kind: _decode(array) for kind, array in cache.read(key).items()}


def inspect_all(paths: list[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """FACTS of the readable images, in their order, and why the others are not: path -> reason."""
    recipe = {"code": code_hash("oadls.data.read"), "libraries": library_versions()}
    cache = Cache("facts", recipe)
    keys = [_state(path) for path in paths]
    run_blocks(
        functools.partial(_inspect, cache=cache),
        cache.missing(zip(paths, keys, strict=True), key=itemgetter(1)),
        title="Reading images",
        size=256,
    )
    columns: dict[str, list] = {name: [] for name in FACTS}  # a dict for each image is far larger
    bad = {}
    for path, key in zip(paths, keys, strict=True):
        fact = _decode(cache.read(key)["facts"])
        if "error" in fact:
            bad[path] = fact["error"]
        else:
            for name, column in columns.items():
                column.append(fact[name])
    return pd.DataFrame(columns), bad


def _state(path: str) -> str:
    """Changes when the file does."""
    try:
        status = os.stat(path)
    except OSError as error:
        return f"{path}: {error}"
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _inspect(block: Sequence[tuple[str, str]], *, cache: Cache) -> None:
    """Write the facts of (path, key), or what is wrong with the image."""
    cache.write({key: {"facts": _encode(_facts(path))} for path, key in block})


def _facts(path: str) -> dict:
    try:
        return asdict(inspect_image(Path(path)))
    except BadImage as error:
        return {"error": str(error)}


def _encode(value: dict | list) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _decode(array: np.ndarray) -> Any:
    return json.loads(array.tobytes())
