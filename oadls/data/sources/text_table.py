"""Tables as people have them: any common encoding, delimiter and compression, read as text."""

import gzip
import io
import logging
import re
from pathlib import Path

import pandas as pd

from oadls.errors import UserError

log = logging.getLogger(__name__)

MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
DELIMITERS = ",;\t|"
BINARY = {b"PK\x03\x04": "a spreadsheet or an archive", b"\xd0\xcf\x11\xe0": "an Excel workbook"}


def read_text_table(path: Path | str, *, source: str) -> pd.DataFrame:
    """A table with a header, every value as text without blanks round it, "" where empty.

    path : CSV with commas, semicolons, tabs or bars; UTF-8, UTF-16 or Windows' own encoding, with
        or without a byte order mark; may be gzipped
    source : whose table it is, for the errors
    returns the rows that are not empty; every column has a name of its own
    raises UserError for a file that is not there, holds nothing, is no text, has rows of several
        lengths, or a column twice
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{source}: {path} is a table, it is not there")
    try:
        text = _decode(path.read_bytes(), path=path, source=source)
        lines = _without_hint(text)
        table = pd.read_csv(
            io.StringIO(lines[1]),
            sep=lines[0],
            header=None,  # a row longer than the header would make pandas take an index
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except pd.errors.EmptyDataError:
        raise UserError(f"{source}: {path} is a table with a header, it is empty") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{source}: {path} is not a readable table: {error}") from error
    table = table.fillna("").apply(lambda column: column.str.strip())
    rows = table.iloc[1:].reset_index(drop=True)
    rows.columns = pd.Index(_header(table.iloc[0].tolist(), path=path, source=source))
    return rows[(rows != "").any(axis=1)].drop(columns="", errors="ignore").reset_index(drop=True)


def _decode(content: bytes, *, path: Path, source: str) -> str:
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    for start, kind in BINARY.items():
        if content.startswith(start):
            raise UserError(f"{source}: {path} is {kind}, save the table as CSV")
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    head = content[:200]
    if head.count(0) > len(head) // 4:  # UTF-16 without a mark: every second byte is 0
        return content.decode("utf-16-le" if head[1:2] == b"\0" else "utf-16-be")
    if 0 in content:
        raise UserError(f"{source}: {path} is a table of text, it holds bytes that are none")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        log.warning("%s: %s is not UTF-8, it is read as Windows writes it (cp1252)", source, path)
        return content.decode("cp1252", errors="replace")


def _without_hint(text: str) -> tuple[str, str]:
    """The delimiter, and the text without the line "sep=;" by which Excel is told of it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff\n")
    first, _, rest = text.partition("\n")
    if told := re.fullmatch(r'"?sep=(.)"?', first, re.IGNORECASE):
        return told[1], rest
    bare = "".join(first.split('"')[::2])  # what is quoted holds no delimiter
    return max(DELIMITERS, key=bare.count), text


def _header(names: list[str], *, path: Path, source: str) -> list[str]:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise UserError(f"{source}: {path} has each column once, {', '.join(twice)} is there twice")
    return names
