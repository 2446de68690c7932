"""A source's list of files -> the checked table of cells that everything else works on."""

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oadls.cache import Cache
from oadls.data.duplicates import PAIR_COLUMNS, compare_labels, group_duplicates
from oadls.data.read import BadImage, Unreadable, inspect_image, read_known
from oadls.data.table import Cells, leave_out, validate
from oadls.parallel import batches, run_blocks
from oadls.recipe import LIBRARIES, code_hash, library_versions

FACTS = ("height", "width", "pixels_sha256", "detail_hash", "black_fraction")
TICK = 20_000_000  # ns, twice the longest of the clock that Linux stamps files by


def collect(source: Callable[[], Cells], *, max_bad: float, bits: int | None = None) -> Cells:
    """List the files, leave the bad ones out, join the patients that share an image.

    source : lists the files (path, label, patient, ...) without opening them
    max_bad : fraction of bad images above which nothing runs
    bits : of each sample in 16-bit files that do not say it (see `read_image`)
    returns cells whose table has the facts of each image and its group; UserError when too many
        images are bad. An image that was seen before and is unchanged (see `_state`) is not opened,
        nor is any image of a source that knows pixels_sha256 itself: it may have none to open
    """
    cells = source()
    if "pixels_sha256" not in cells.table:
        cells = _add_facts(cells, max_bad=max_bad, bits=bits)
    return validate(replace(cells, table=join_duplicates(cells.table, bits=bits)))


def _add_facts(cells: Cells, *, max_bad: float, bits: int | None) -> Cells:
    facts, bad = inspect_all(cells.table["path"].tolist(), bits=bits)
    cells = leave_out(cells, bad, max_bad=max_bad)
    table = cells.table.drop(columns=list(FACTS), errors="ignore").reset_index(drop=True)
    return replace(cells, table=pd.concat([table, facts], axis=1))


def join_duplicates(table: pd.DataFrame, *, bits: int | None = None) -> pd.DataFrame:
    """The table with its groups; found once for each set of images, then read from the cache."""
    groups = pd.Series(_duplicates(table, bits)["groups"], index=table["name"].sort_values())
    return table.assign(group=table["name"].map(groups))


def duplicate_pairs(table: pd.DataFrame, *, bits: int | None = None) -> pd.DataFrame:
    """The pairs by which the groups of the same table were joined: PAIR_COLUMNS."""
    pairs = pd.DataFrame(_duplicates(table, bits)["pairs"], columns=list(PAIR_COLUMNS[:-1]))
    return compare_labels(pairs, table)


def _duplicates(table: pd.DataFrame, bits: int | None) -> dict:
    """Groups in the order of names, and pairs without what depends on labels.

    From the cache, or found now.
    """
    named = [c for c in ("name", "patient", "pixels_sha256", "detail_hash") if c in table.columns]
    columns = table[named].sort_values("name")
    digest = hashlib.sha256()
    for part in batches(columns, 10_000):  # the text of a large table is large
        digest.update(part.to_csv(index=False).encode())
    key = digest.hexdigest()
    recipe = {"code": code_hash("oadls.data.duplicates"), "libraries": library_versions()}
    cache = Cache("groups", recipe)
    if key not in cache:
        known = table.set_index("path")["pixels_sha256"]
        joined, pairs = group_duplicates(
            table, read=lambda path: read_known(path, known[str(path)], bits=bits)
        )
        groups = joined.set_index("name")["group"].reindex(columns["name"]).tolist()
        rows = pairs[list(PAIR_COLUMNS[:-1])].to_numpy(dtype=object).tolist()
        cache.write({key: {"groups": _encode(groups), "pairs": _encode(rows)}})
    return {kind: _decode(array) for kind, array in cache.read(key).items()}


def inspect_all(
    paths: list[str], *, bits: int | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """FACTS of the readable images, in their order, and why the others are not: path -> reason.

    What is wrong with the content of a file is kept as its facts are. That a file could not be
    read is not: it is tried a second time, and again by the next command.
    """
    libraries = library_versions((*LIBRARIES, "tifffile", "imagecodecs"))
    recipe = {"code": code_hash("oadls.data.read"), "libraries": libraries, "bits": bits}
    cache = Cache("facts", recipe)
    keys = [_state(path) for path in paths]
    run_blocks(
        functools.partial(_inspect, cache=cache, bits=bits),
        cache.missing(zip(paths, keys, strict=True), key=itemgetter(1)),
        title="Reading images",
        size=256,
    )
    columns: dict[str, list] = {name: [] for name in FACTS}  # a dict for each image is far larger
    bad = {}
    for path, key in zip(paths, keys, strict=True):
        fact = _kept(cache, key) or _facts_or_fault(path, bits)
        if "error" in fact:
            bad[path] = fact["error"]
        else:
            for name, column in columns.items():
                column.append(fact[name])
    return pd.DataFrame(columns), bad


def _state(path: str) -> str:
    """Changes when the file does, or another takes its place, whatever times they are given.

    On some file systems inode and ctime change by themselves: then the file is read once more.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        return f"{path}: {error}"
    times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
    return f"{path} {status.st_size} {times} {status.st_ino}"


def _inspect(block: Sequence[tuple[str, str]], *, cache: Cache, bits: int | None) -> None:
    """Write the facts of (path, key), or what is wrong with the image."""
    records = {}
    for path, key in block:
        _let_clock_tick(path)
        with suppress(Unreadable):
            facts = _facts(path, bits)
            if _state(path) == key:  # else they may be another file's
                records[key] = {"facts": _encode(facts)}
    cache.write(records)


def _let_clock_tick(path: str) -> None:
    """Wait until a change of the file would show in its times: they come from a coarse clock."""
    with suppress(OSError):
        age = time.time_ns() - os.stat(path).st_ctime_ns
        if 0 <= age < TICK:
            time.sleep(TICK / 1e9)


def _kept(cache: Cache, key: str) -> dict | None:
    try:
        return _decode(cache.read(key)["facts"])
    except KeyError:
        return None


def _facts_or_fault(path: str, bits: int | None) -> dict:
    try:
        return _facts(path, bits)
    except Unreadable as error:
        return {"error": str(error)}


def _facts(path: str, bits: int | None) -> dict:
    """FACTS, or the error of its content; raises Unreadable when that could not be looked at."""
    try:
        return asdict(inspect_image(Path(path), bits=bits))
    except Unreadable:
        raise
    except BadImage as error:
        return {"error": str(error)}
    except MemoryError as error:
        raise Unreadable(f"{path}: cannot be read (out of memory)") from error


def _encode(value: dict | list) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _decode(array: np.ndarray) -> Any:
    return json.loads(array.tobytes())
