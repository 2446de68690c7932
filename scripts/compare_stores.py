"""Which store for the cache: python scripts/compare_stores.py (needs: pip install zarr).

Writes 400 records like prepared cells (a 450x450 picture and its mask, each made from noise and
black, 0.8 MB) one transaction per 32, then reads all in random order, in each store, three times.
Prints medians and ratios to plain files.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import zarr

RECORDS, BATCH, REPEATS = 400, 32, 3
Write, Read = Callable[[Path, list[tuple[str, bytes]]], None], Callable[[Path, list[str]], int]


def write_files(folder: Path, records: list[tuple[str, bytes]]) -> None:
    for key, value in records:
        draft = folder / f".{key}"
        draft.write_bytes(value)
        draft.rename(folder / key)


def read_files(folder: Path, keys: list[str]) -> int:
    return sum(len((folder / key).read_bytes()) for key in keys)


def write_lmdb(folder: Path, records: list[tuple[str, bytes]]) -> None:
    with lmdb.open(str(folder), map_size=1 << 40) as store:
        for first in range(0, len(records), BATCH):
            with store.begin(write=True) as transaction:
                for key, value in records[first : first + BATCH]:
                    transaction.put(key.encode(), value)


def read_lmdb(folder: Path, keys: list[str]) -> int:
    with lmdb.open(str(folder), map_size=1 << 40, readonly=True) as store, store.begin() as view:
        return sum(len(view.get(key.encode())) for key in keys)


def write_sqlite(folder: Path, records: list[tuple[str, bytes]]) -> None:
    with sqlite3.connect(folder / "store.db") as store:
        store.execute("CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB)")
        for first in range(0, len(records), BATCH):
            store.executemany("INSERT INTO records VALUES (?, ?)", records[first : first + BATCH])
            store.commit()


def read_sqlite(folder: Path, keys: list[str]) -> int:
    with sqlite3.connect(folder / "store.db") as store:
        query = "SELECT value FROM records WHERE key = ?"
        return sum(len(store.execute(query, (key,)).fetchone()[0]) for key in keys)


def write_zarr(folder: Path, records: list[tuple[str, bytes]]) -> None:
    group = zarr.open_group(folder / "store.zarr", mode="w")
    for key, value in records:
        group.create_array(key, data=np.frombuffer(value, np.uint8), compressors=None)


def read_zarr(folder: Path, keys: list[str]) -> int:
    group = zarr.open_group(folder / "store.zarr", mode="r")
    return sum(np.asarray(group[key]).nbytes for key in keys)


STORES: dict[str, tuple[Write, Read]] = {
    "files": (write_files, read_files),
    "LMDB": (write_lmdb, read_lmdb),
    "SQLite": (write_sqlite, read_sqlite),
    "zarr": (write_zarr, read_zarr),
}


def main() -> None:
    rng = np.random.default_rng(0)
    value = rng.integers(0, 256, 810_000, dtype=np.uint8).tobytes()
    records = [(f"{k:064x}", value) for k in range(RECORDS)]
    keys = [records[k][0] for k in rng.permutation(RECORDS)]
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in STORES}
    for _ in range(REPEATS):
        for name, (write, read) in STORES.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                write(Path(folder), records)
                middle = time.perf_counter()
                assert read(Path(folder), keys) == RECORDS * len(value)
                seconds[name].append((middle - start, time.perf_counter() - middle))
    median = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in seconds.items()
    }
    print(f"{'store':8} write ms/record  x files   read ms/record  x files")
    for name, (write_s, read_s) in median.items():
        write_ratio, read_ratio = write_s / median["files"][0], read_s / median["files"][1]
        print(
            f"{name:8} {1000 * write_s / RECORDS:15.2f} {write_ratio:8.2f}"
            f" {1000 * read_s / RECORDS:16.2f} {read_ratio:8.2f}"
        )


if __name__ == "__main__":
    main()
