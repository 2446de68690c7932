"""A file of PyTorch is whole, and holds what it held when it was written.

torch.load compares no checksum: one flipped bit of a weight passes without a word.
"""

import zipfile
import zlib
from pathlib import Path

from oadls.errors import UserError

BLOCK = 1 << 20  # bytes read at a time


def check_whole(file: Path, *, what: str = "checkpoint") -> None:
    """Compare every part of a file that torch.save wrote with its CRC-32.

    what : the setting that named the file, for the message
    raises UserError for a file that is missing, empty, cut off, changed, or written by another
    """
    if not file.is_file():
        kind = "is a folder" if file.is_dir() else "is not there"
        raise UserError(f"{what}: {file} {kind}")
    if file.stat().st_size == 0:
        raise UserError(f"{what}: {file} is empty: whatever wrote it was stopped, or had no room")
    try:
        with zipfile.ZipFile(file) as parts:
            for part in parts.infolist():
                with parts.open(part) as stream:
                    while stream.read(BLOCK):  # raises BadZipFile where the CRC is another
                        pass
    except OSError as error:
        raise UserError(f"{what}: {file} cannot be read: {error}") from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError) as error:
        raise UserError(f"{what}: {file} {_reason(file)} ({error})") from None


def _reason(file: Path) -> str:
    """What became of a file that is not whole."""
    with file.open("rb") as stream:
        begins = stream.read(4) == b"PK\x03\x04"
    if not begins:
        return "is no file of PyTorch"
    return "was cut off or changed since it was written"
