"""Files appear whole or not at all: a full disk, a read-only folder or a kill spoils none."""

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from oadls.errors import UserError
from oadls.tables import inert

DRAFT = ".draft-"  # how the name of a file begins that is still being written
FORGOTTEN = 24 * 3600  # s: what a killed program left is no draft of a living one by then
REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)


@contextmanager
def publish(file: Path) -> Iterator[Path]:
    """Write a file beside its place, and put it there when the block has ended well.

    yields the path to write to; it has the suffix of `file`, by which libraries know the format
    raises UserError where the place cannot be written: `file` is then what it was before
    """
    draft = file.with_name(f"{DRAFT}{uuid.uuid4().hex[:12]}{file.suffix}")
    try:
        with _refusals_told(file, inside=[draft, file]):
            _make_room(file)
            yield draft
            _settle(draft)
            draft.replace(file)
            _settle(file.parent, must=False)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def publish_all(folder: Path, *, last: Sequence[str] = ()) -> Iterator[Path]:
    """Write many files beside their places, and put them there when the block has ended well.

    last : files that come after all others, in this order
    yields a folder to write to, in which each file stands as it shall in `folder`
    raises UserError where they cannot be written: every file is then what it was before
    """
    draft = folder / f"{DRAFT}{uuid.uuid4().hex[:12]}"
    try:
        with _refusals_told(folder, inside=[folder]):
            draft.mkdir(parents=True)
        with _refusals_told(folder, inside=[draft]):
            yield draft
        files = [path.relative_to(draft) for path in sorted(draft.rglob("*")) if path.is_file()]
        files.sort(key=lambda name: last.index(str(name)) if str(name) in last else -1)
        with _refusals_told(folder, inside=[folder]):
            for name in files:
                _settle(draft / name)
                _make_room(folder / name)
            for name in files:
                (draft / name).replace(folder / name)
            _settle(folder, must=False)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def publish_text(file: Path, text: str) -> None:
    """Publish a text in UTF-8; a byte of a name that is none stays that byte."""
    with publish(file) as draft:
        draft.write_bytes(text.encode("utf-8", errors="surrogateescape"))


def publish_table(file: Path, table: pd.DataFrame) -> None:
    """Publish a table as CSV without its index, every text of it `inert`."""
    publish_text(file, inert(table).to_csv(index=False))


def _make_room(file: Path) -> None:
    """Make the folder, and clear it of what killed programs left; a write-protected file stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if file.exists() and not os.access(file, os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    for left in file.parent.glob(f"{DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _settle(path: Path, *, must: bool = True) -> None:
    """Wait until the disk has it: some say only now that they are full.

    must : false for a folder, of which some file systems do not keep such promises
    """
    with contextlib.nullcontext() if must else contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _refusals_told(place: Path, *, inside: Sequence[Path]) -> Iterator[None]:
    """One sentence where the machine does not let us write to a place.

    inside : where we write; an error that names a file elsewhere is of one that was to be read
    """
    try:
        yield
    except OSError as error:
        named = [Path(os.fsdecode(each)) for each in (error.filename, error.filename2) if each]
        ours = all(
            each in place.parents or any(each == own or own in each.parents for own in inside)
            for each in named
        )
        if error.errno not in REFUSALS or not ours:
            raise
        raise UserError(
            f"{place}: cannot be written ({error.strerror}); what was there is unchanged"
        ) from error
