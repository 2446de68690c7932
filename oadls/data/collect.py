"""A source's list of files -> the checked table of cells that everything else works on."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from oadls.cache import Cache
from oadls.data.duplicates import group_duplicates
from oadls.data.read import BadImage, inspect_image
from oadls.data.table import Cells, leave_out, validate
from oadls.parallel import parallel_map
from oadls.recipe import code_hash, library_versions

FACTS = ("height", "width", "pixels_sha256", "phash", "black_fraction")


def collect(source: Callable[[], Cells], *, max_bad: float) -> Cells:
    """List the files, leave the bad ones out, join the patients that share an image.

    source : lists the files (path, label, patient, ...) without opening them
    max_bad : fraction of bad images above which nothing runs
    returns cells whose table has the facts of each image and its group; UserError when too many
        images are bad. An image that was seen before, unchanged in size and time, is not opened
    """
    cells = source()
    facts, bad = inspect_all(cells.table["path"].tolist())
    cells = leave_out(cells, bad, max_bad=max_bad)
    known = pd.DataFrame([facts[path] for path in cells.table["path"]], columns=list(FACTS))
    table = cells.table.drop(columns=list(FACTS), errors="ignore").reset_index(drop=True)
    table = pd.concat([table, known], axis=1)
    return validate(Cells(join_duplicates(table), cells.excluded))


def join_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its groups; found once for each set of images, then read from the cache."""
    columns = table[["name", "patient", "pixels_sha256", "phash"]].sort_values("name")
    key = hashlib.sha256(columns.to_csv(index=False).encode()).hexdigest()
    recipe = {"code": code_hash("oadls.data.duplicates"), "libraries": library_versions()}
    cache = Cache("groups", recipe)
    if key not in cache:
        groups = group_duplicates(table)[0].set_index("name")["group"].to_dict()
        cache.write({key: {"groups": _encode(groups)}})
    return table.assign(group=table["name"].map(_decode(cache.read(key)["groups"])))


def inspect_all(paths: list[str]) -> tuple[dict[str, dict], dict[str, str]]:
    """Facts of every readable image, and the reason why each other one is not."""
    recipe = {"code": code_hash("oadls.data.read"), "libraries": library_versions()}
    cache = Cache("facts", recipe)
    keys = {path: _state(path) for path in paths}
    missing = set(cache.missing(list(keys.values())))
    unseen = [path for path in paths if keys[path] in missing]
    found: dict[str, dict[str, np.ndarray]] = {}
    for path, fact in zip(
        unseen, parallel_map(_inspect, unseen, title="Reading images"), strict=True
    ):
        found[keys[path]] = {"facts": _encode(fact)}
    cache.write(found)
    facts = {path: _decode(cache.read(key)["facts"]) for path, key in keys.items()}
    good = {path: fact for path, fact in facts.items() if "error" not in fact}
    return good, {path: fact["error"] for path, fact in facts.items() if "error" in fact}


def _state(path: str) -> str:
    """Changes when the file does."""
    try:
        status = Path(path).stat()
    except OSError as error:
        return f"{path}: {error}"
    return f"{Path(path).absolute()} {status.st_size} {status.st_mtime_ns}"


def _inspect(path: str) -> dict:
    try:
        return asdict(inspect_image(Path(path)))
    except BadImage as error:
        return {"error": str(error)}


def _encode(value: dict) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _decode(array: np.ndarray) -> dict:
    return json.loads(array.tobytes())
