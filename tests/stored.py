"""Records for tests of the cache; light to import, as every new process does that reads them."""

from pathlib import Path

import numpy as np

from oadls.cache import Cache

KEYS = [f"{n:02x}" for n in range(20)]


def opened(folder: Path, name: str = "test") -> Cache:
    return Cache("test", {"step": name}, folder=folder, compress=False)


def record(key: str, *, size: int = 300_000) -> dict[str, np.ndarray]:
    return {"0": np.random.default_rng(int(key, 16)).integers(0, 256, size, dtype=np.uint8)}


def fill(cache: Cache, keys: list[str] = KEYS) -> None:
    for key in keys:
        cache.write({key: record(key)})


def whole(cache: Cache, keys: list[str]) -> bool:
    """Whether each key has the record that was written."""
    return all((cache.read(key)["0"] == record(key)["0"]).all() for key in keys)


def fill_and_read(cache: Cache, keys: list[str]) -> bool:
    fill(cache, keys[:1])
    return whole(cache, keys)
