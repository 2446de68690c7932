"""Files beside the LMDB of a recipe that many machines write, each whole or not at all.

A shard is every record whose key begins with the same hex digits, those of a content hash. It is
kept in files that never change: `a3-0.mdb`, then `a3-1.mdb` when cells came later. Each is an LMDB
database that one process writes, and is published by a hard link, which fails where another writer
was first: that one drops what is there already and takes the next number. So a killed writer leaves
a draft that nobody reads, work done twice is published once, and no record is in two files.
"""

import contextlib
import functools
import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import lmdb
import numpy as np

from oadls.errors import UserError

OPEN_FILES = 256  # at most, of one process
MAP_SIZE = 1 << 40  # address space of a draft, not disk
STALE = 3600  # seconds without a record after which a draft has no writer any more
Arrays = Mapping[str, np.ndarray]


class Shards:
    """The published files of a folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, list[str]] = {}  # first digits -> files

    def get(self, key: str) -> bytes | None:
        """What is published under a key, now or since this process looked last; None if nothing."""
        value = self._get(key)
        if value is None:
            self._list()
            value = self._get(key)
        return value

    def present(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that are published."""
        self._list()
        if not self._names:
            return set()
        # in their order, so that each file is opened once however many there are
        return {key for key in sorted(keys) if any(_holds(e, key) for e in self._candidates(key))}

    def __len__(self) -> int:
        """Number of records."""
        return sum(_open(str(file), os.getpid()).stat()["entries"] for file in self.files())

    def files(self) -> list[Path]:
        """Every published file."""
        self._list()
        return [self.folder / name for names in self._names.values() for name in names]

    def remove_stale_drafts(self) -> None:
        """Delete what killed writers left behind, but no draft in which records still arrive."""
        for draft in self.folder.glob(".*"):
            with contextlib.suppress(FileNotFoundError):  # published or deleted by its writer
                if time.time() - draft.stat().st_mtime > STALE:
                    draft.unlink()

    def count_drafts(self, prefix: str, *, since: float) -> int:
        """Drafts of a shard in which records arrived since then, in seconds since the epoch."""
        drafts = self.folder.glob(f".{prefix}-*")
        return sum(draft.stat().st_mtime >= since for draft in drafts)

    def _get(self, key: str) -> bytes | None:
        for environment in self._candidates(key):
            with environment.begin() as transaction:
                if (value := transaction.get(key.encode())) is not None:
                    return value
        return None

    def _candidates(self, key: str) -> Iterator[lmdb.Environment]:
        """The files that may hold a key: runs may have cut the shards by more or fewer digits."""
        for digits in {len(prefix) for prefix in self._names}:
            for name in self._names.get(key[:digits], ()):
                yield _open(str(self.folder / name), os.getpid())

    def _list(self) -> None:
        names: dict[str, list[str]] = {}
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.folder)):
                if not name.startswith("."):
                    names.setdefault(name.partition("-")[0], []).append(name)
        self._names = names


@functools.cache
def shards_in(folder: Path) -> Shards:
    """The shards of a folder, listed once a process and again when a record is not found."""
    return Shards(folder)


def forget_files() -> None:
    """Close every file of this process, before a folder of shards is deleted."""
    _open.cache_clear()


class Draft:
    """Records on their way into a shard. Nobody reads them until `publish`; a with-block deletes
    the draft when it ends, however it ends.

    encode : arrays -> the bytes of a record
    """

    def __init__(self, folder: Path, prefix: str, *, encode: Callable[[Arrays], bytes]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.prefix = folder, prefix
        self.path = folder / f".{prefix}-{uuid.uuid4().hex}"
        self._encode = encode
        self._environment = lmdb.open(  # one writer: no lock; nobody reads it: no sync
            str(self.path), subdir=False, lock=False, sync=False, map_size=MAP_SIZE
        )

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.close()
        self.path.unlink(missing_ok=True)

    def write(self, records: Mapping[str, Arrays]) -> None:
        """Add records, on disk at once: nothing is held back in memory."""
        with self._environment.begin(write=True) as transaction:
            for key, arrays in records.items():
                transaction.put(key.encode(), self._encode(arrays))

    def publish(self) -> None:
        """Make every record readable that no file of the shard holds yet."""
        for number in itertools.count():
            if not self._environment.stat()["entries"]:
                return
            file = self.folder / f"{self.prefix}-{number}.mdb"
            self._finish()
            try:
                os.link(self.path, file)
            except FileExistsError:
                self._drop(file)
            except OSError as error:
                raise UserError(
                    f"cache: cannot publish {file} ({error.strerror}); "
                    "its folder must stay, on a file system that has hard links"
                ) from error
            else:
                self._environment.close()  # LMDB opens no file twice in a process, by any name
                return

    def _finish(self) -> None:
        """All on disk, and as long as its pages say: LMDB leaves freed ones at the end away."""
        self._environment.sync(True)
        os.truncate(self.path, _length(self._environment))

    def _drop(self, file: Path) -> None:
        """Delete the records that a published file holds."""
        published = _open(str(file), os.getpid())
        with published.begin() as theirs, self._environment.begin(write=True) as ours:
            there = theirs.cursor()
            for key in list(ours.cursor().iternext(values=False)):
                if there.set_key(key):
                    ours.delete(key)


@functools.lru_cache(maxsize=OPEN_FILES)  # what falls out is closed when its last reader is done
def _open(path: str, process: int) -> lmdb.Environment:
    """A published file, opened once a process: LMDB environments do not survive a fork.

    Raises UserError when it is not whole.
    """
    try:
        environment = lmdb.open(path, subdir=False, readonly=True, lock=False, readahead=False)
        if os.path.getsize(path) < _length(environment):  # reading would end in SIGBUS
            raise lmdb.CorruptedError("it is cut short")
    except lmdb.Error as error:
        raise UserError(
            f"cache: {path} is damaged ({error}); "
            "delete this file, and the next run makes its cells anew"
        ) from error
    return environment


def _length(environment: lmdb.Environment) -> int:
    """Bytes of a whole file."""
    return (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]


def _holds(environment: lmdb.Environment, key: str) -> bool:
    with environment.begin() as transaction:
        return transaction.cursor().set_key(key.encode())
