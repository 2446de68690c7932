"""One LMDB file: opened once a process, grown when it is full, every fault one sentence.

LMDB maps its file into the address space. The map starts small and doubles when it is full, so
that it fits where that space is limited (`ulimit -v`, SGE, SLURM). Where another process has made
the file larger than the map, the map follows. LMDB survives no fork: the child opens its own.
"""

import errno
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from oadls.errors import UserError

START = 1 << 30  # bytes of address space, not of disk: the file grows with its content
LEAST = 1 << 20  # bytes by which a map grows where there is no room for twice its size
READERS = 1024  # processes at a time
LOCK_BYTES = 68 * 1024  # what LMDB needs for them
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
DAMAGED = (
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)

T = TypeVar("T")

_lock = threading.RLock()  # no thread may read while another exchanges a map, or forks
_stores: weakref.WeakSet["Store"] = weakref.WeakSet()


class Store:
    """Keys and values in one file, which is opened when it is first used.

    path : the folder of the environment, or its one file where `alone`
    cure : how to get rid of it when it is damaged, the end of that message
    alone : a file without a lock, of one writer or of readers only
    readonly : never written to; a store that may not be written to becomes so by itself
    """

    def __init__(
        self, path: Path, *, cure: str, alone: bool = False, readonly: bool = False
    ) -> None:
        self.path, self.cure, self.alone, self.readonly = path, cure, alone, readonly
        self._opened: lmdb.Environment | None = None
        with _lock:
            _stores.add(self)

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A transaction that sees what was whole when it began.

        raises UserError for whatever LMDB or the file system refuses, as `take` and `change` do
        """
        with _lock:
            try:
                with self._begin() as transaction:
                    yield transaction
            except (lmdb.Error, OSError) as error:
                raise self._fault(error) from error

    def take(self, key: bytes, part: Callable[[memoryview], T]) -> T | None:
        """part(value) of what is under a key, None if nothing is: `reading` in less time."""
        with _lock:
            try:
                with self._begin(buffers=True) as transaction:
                    value = transaction.get(key)
                    return None if value is None else part(value)
            except (lmdb.Error, OSError) as error:
                raise self._fault(error) from error

    def change(self, work: Callable[[lmdb.Transaction], Any]) -> None:
        """All that `work` does to a transaction, or nothing of it. It may be called again, with
        another transaction, when the map was full.
        """
        with _lock, self._told(writing=True):
            while True:
                try:
                    with self._begin(write=True) as transaction:
                        work(transaction)
                    self._fill_up()
                    return
                except lmdb.MapFullError:
                    self._grow()

    @property
    def exists(self) -> bool:
        """Whether there is a file, or a folder for one."""
        return self._opened is not None or self.path.exists()

    @property
    def entries(self) -> int:
        """Number of keys."""
        with self.reading() as transaction:  # what a reader sees, not the last meta page
            return int(transaction.stat()["entries"])

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        with _lock, self._told():
            return _length(self._environment())

    def sync(self) -> None:
        """All on disk."""
        with _lock, self._told():
            self._environment().sync(True)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with _lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _environment(self) -> lmdb.Environment:
        if self._opened is None:
            written = self._file.stat().st_size if self._file.exists() else 0
            self._opened = self._open(START + written)
        return self._opened

    def _begin(self, **settings: Any) -> lmdb.Transaction:
        while True:
            try:
                return (self._opened or self._environment()).begin(**settings)
            except lmdb.MapResizedError:  # another process has written more than this map holds
                self.close()

    @property
    def _file(self) -> Path:
        return self.path if self.alone else self.path / "data.mdb"

    def _open(self, size: int) -> lmdb.Environment:
        """With a map of so many bytes or as many as there is room for, but all of the content."""
        try:
            environment = self._open_as(self.readonly, size)
        except (lmdb.Error, OSError) as error:
            if self.readonly or _code(error) not in READ_ONLY:
                raise
            environment, self.readonly = self._open_as(True, size), True
        self._opened = environment
        self._fill_up()
        return environment

    def _open_as(self, readonly: bool, size: int) -> lmdb.Environment:
        settings = {
            "subdir": not self.alone,
            "readonly": readonly,
            "sync": not self.alone,
            "readahead": False,
            "max_readers": READERS,
        }
        if self.alone:
            return _mapped(str(self.path), size, lock=False, **settings)
        if not readonly:
            _allocate(self.path / "lock.mdb", LOCK_BYTES)
            return _mapped(str(self.path), size, **settings)
        try:
            return _mapped(str(self.path), size, **settings)
        except lmdb.Error as error:  # the lock is for writing too
            if _code(error) not in READ_ONLY:
                raise
            return _mapped(str(self.path), size, lock=False, **settings)

    def _grow(self) -> None:
        """Twice the map, or as much more as there is room for."""
        step = size = int(self._environment().info()["map_size"])
        self.close()
        while True:
            environment = self._open(size + step)
            if int(environment.info()["map_size"]) > size:
                return
            self.close()
            if step <= LEAST:
                raise lmdb.MemoryError(os.strerror(errno.ENOMEM))
            step //= 2

    def _fill_up(self) -> None:
        """Make the file as long as its pages say: LMDB leaves free ones at its end away, and to
        read beyond the end of a file that was cut short would kill the process.
        """
        environment = self._environment()
        if self._file.stat().st_size < _length(environment):
            if self.readonly:
                raise lmdb.CorruptedError("it is cut short")
            _allocate(self._file, _length(environment))

    @contextmanager
    def _told(self, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise self._fault(error, writing=writing) from error

    def _fault(self, error: Exception, *, writing: bool = False) -> UserError:
        with suppress(lmdb.Error):
            self.close()  # LMDB goes on with no environment that failed to write
        return UserError(explain(error, self.path, cure=self.cure, writing=writing))


def explain(error: Exception, path: Path, *, cure: str = "", writing: bool = False) -> str:
    """What LMDB or the file system refused, and what to do about it, in one sentence."""
    code = _code(error)
    reason = os.strerror(code) if code > 0 else str(error)
    if isinstance(error, DAMAGED) or code == errno.EBADF:  # LMDB's word for an empty file
        return f"cache: {path} is damaged ({reason}); {cure}"
    if writing and code == errno.EIO:  # LMDB's word for half a page
        code, reason = errno.ENOSPC, "its disk is full or failing"
    if code in FULL:
        return (
            f"cache: {path} cannot be written ({reason}), what it holds stays readable: make room "
            "on its disk, delete recipes (python -m oadls.cache), or set OADLS_CACHE_DIR to another"
        )
    if code in READ_ONLY:
        return (
            f"cache: {path} cannot be written ({reason}), and something is not in it yet: fill it "
            "where it can be written, or set OADLS_CACHE_DIR to a folder of your own"
        )
    if code == errno.ENOMEM:
        return (
            f"cache: {path} does not fit into the address space of this process ({reason}): "
            "raise its limit (ulimit -v, h_vmem, --mem)"
        )
    if code in (errno.EMFILE, errno.ENFILE):
        return f"cache: {path} cannot be opened ({reason}): raise the limit (ulimit -n)"
    if isinstance(error, lmdb.ReadersFullError):
        return f"cache: {path} is read by {READERS} processes, no more can: start fewer"
    return (
        f"cache: {path} cannot be used ({reason}): it must be on a disk of this machine, "
        "OADLS_CACHE_DIR names its folder"
    )


def _code(error: Exception) -> int:
    """The number of the system's error, or one below 1 for one of LMDB's own."""
    if isinstance(error, OSError):
        return error.errno or 0
    if isinstance(error, lmdb.MemoryError):
        return errno.ENOMEM
    return int(getattr(error, "code", 0))


def _mapped(path: str, size: int, **settings: Any) -> lmdb.Environment:
    """LMDB maps the whole content, however small the size."""
    while True:
        try:
            return lmdb.open(path, map_size=size, **settings)
        except lmdb.MemoryError:
            if size <= LEAST:
                raise
            size //= 2


def _length(environment: lmdb.Environment) -> int:
    return int((environment.info()["last_pgno"] + 1) * environment.stat()["psize"])


def _allocate(file: Path, size: int) -> None:
    """At least so many bytes, in blocks of the disk: where it is full, to write into a hole of a
    file that is mapped would kill the process.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    if file.exists() and file.stat().st_size >= size:
        return
    number = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.posix_fallocate(number, 0, size)
    finally:
        os.close(number)


def _leave_to_parent() -> None:
    for store in list(_stores):
        with suppress(lmdb.Error):
            store.close()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_leave_to_parent
    )
