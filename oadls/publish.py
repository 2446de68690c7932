"""Files appear whole or not at all: a full disk, a read-only folder or a kill spoils none."""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterator
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
        _make_room(file)
        yield draft
        _settle(draft)
        draft.replace(file)
        _settle(file.parent, must=False)
    except OSError as error:
        if _is_about(error, draft, file):
            raise UserError(
                f"{file}: cannot be written ({error.strerror}); what was there is unchanged"
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


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
    if file.exists() and not os.access(file, os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    for left in file.parent.glob(f"{DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN:
                left.unlink()


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


def _is_about(error: OSError, draft: Path, file: Path) -> bool:
    """Whether an error tells of the place to write to, and not of a file that was to be read."""
    named = error.filename
    own = named is None or Path(os.fsdecode(named)) in (draft, file, file.parent, *file.parents)
    return error.errno in REFUSALS and own
