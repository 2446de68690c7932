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
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import lmdb
import numpy as np

from oadls.errors import UserError
from oadls.store import Store, explain

OPEN_FILES = 256  # at most, of one process
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
        return {key for key in sorted(keys) if any(_holds(s, key) for s in self._candidates(key))}

    def __len__(self) -> int:
        """Number of records."""
        return sum(_open(file).entries for file in self.files())

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
        for store in self._candidates(key):
            with store.reading() as transaction:
                if (value := transaction.get(key.encode())) is not None:
                    return value
        return None

    def _candidates(self, key: str) -> Iterator[Store]:
        """The files that may hold a key: runs may have cut the shards by more or fewer digits."""
        for digits in {len(prefix) for prefix in self._names}:
            for name in self._names.get(key[:digits], ()):
                yield _open(self.folder / name)

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
    while _files:
        _files.popitem()[1].close()


class Draft:
    """Records on their way into a shard. Nobody reads them until `publish`; a with-block deletes
    the draft when it ends, however it ends.

    encode : key, arrays -> the bytes of a record
    raises UserError, as `write` and `publish` do, where nothing can be written or the disk is full
    """

    def __init__(
        self, folder: Path, prefix: str, *, encode: Callable[[str, Arrays], bytes]
    ) -> None:
        self.folder, self.prefix = folder, prefix
        self.path = folder / f".{prefix}-{uuid.uuid4().hex}"
        self._encode = encode
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(explain(error, folder)) from error
        # one writer: no lock; nobody reads it: no sync
        self._store = Store(self.path, alone=True, cure="the same command begins it anew")

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        self.path.unlink(missing_ok=True)

    def write(self, records: Mapping[str, Arrays]) -> None:
        """Add records, on disk at once: nothing is held back in memory."""
        encoded = [(key.encode(), self._encode(key, arrays)) for key, arrays in records.items()]

        def put(transaction: lmdb.Transaction) -> None:
            for key, value in encoded:
                transaction.put(key, value)

        self._store.change(put)

    def publish(self) -> None:
        """Make every record readable that no file of the shard holds yet."""
        for number in itertools.count():
            if not self._store.entries:
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
                self._store.close()  # LMDB opens no file twice in a process, by any name
                return

    def _finish(self) -> None:
        """All on disk, and as long as its pages say: LMDB leaves freed ones at the end away."""
        self._store.sync()
        os.truncate(self.path, self._store.length)

    def _drop(self, file: Path) -> None:
        """Delete the records that a published file holds."""

        def drop(ours: lmdb.Transaction) -> None:
            with _open(file).reading() as theirs:
                there = theirs.cursor()
                for key in list(ours.cursor().iternext(values=False)):
                    if there.set_key(key):
                        ours.delete(key)

        self._store.change(drop)


_files: OrderedDict[Path, Store] = OrderedDict()  # the published ones that are open, latest last


def _open(file: Path) -> Store:
    """A published file, opened once a process; using it raises UserError when it is not whole."""
    if file not in _files:
        cure = "delete this file, and the next run makes its cells anew"
        _files[file] = Store(file, alone=True, readonly=True, cure=cure)
        if len(_files) > OPEN_FILES:
            _files.popitem(last=False)[1].close()
    _files.move_to_end(file)
    return _files[file]


def _holds(store: Store, key: str) -> bool:
    with store.reading() as transaction:
        return transaction.cursor().set_key(key.encode())
