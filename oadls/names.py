"""Names that people gave: as text that does nothing, and as places that lead nowhere else."""

import contextlib
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # words of some scripts need them
CONTROLS = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, turns of direction, bytes that are no text
LONGEST = 200  # bytes of a part of a place; file systems end at 255, and a mark is yet to come
DEEPEST = 1000  # bytes of a whole place
FORBIDDEN = re.compile(r'[\\:*?"<>|]|^\s+|[\s.]+$')  # by other systems, or passed over there
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # by Windows
MARKED = re.compile(r"-[0-9a-f]{16}$", re.IGNORECASE)  # by `places`


def printable(text: str) -> str:
    r"""The text without what a terminal, a page or an editor would act on.

    Controls, marks that turn the direction of writing and bytes that are no UTF-8 are escaped: a
    line feed is \x0a. Letters of every script stay.
    """
    if text.isprintable():
        return text
    with contextlib.suppress(UnicodeEncodeError):  # half a pair of UTF-16
        # bytes of UTF-8 that Python met in another locale are letters again
        text = text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    return "".join(map(_escaped, text))


def printable_lines(text: str) -> str:
    """As `printable`, of a message that may have several lines."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(letter: str) -> str:
    if letter in JOINERS or unicodedata.category(letter) not in CONTROLS:
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def places(names: Sequence[str], *, suffix: str) -> list[PurePosixPath]:
    """Where files with these names go, relative to a folder.

    names : any text, no two equal
    suffix : of every file, as ".png"
    returns the name with the suffix wherever that is possible. Each place is below the folder, no
        two are one (nor to a file system that does not tell "A" from "a"), none is a folder of
        another. Those that would meet are told apart by 16 hexadecimal digits of their names
    """
    tidy = [_tidy(name, suffix) for name in names]
    met = Counter(map(_folded, tidy))
    found = []
    for name, place in zip(names, tidy, strict=True):
        if met[_folded(place)] > 1 or MARKED.search(place):
            digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
            place = f"{place}-{digest[:16]}"
        found.append(PurePosixPath(place + suffix))
    return found


def _tidy(name: str, suffix: str) -> str:
    """Parts joined by "/" that every file system takes; another name may give the same."""
    parts = [part for part in printable(name).split("/") if part not in ("", ".", "..")]
    tidy = [_tidy_part(part) for part in parts] or ["_"]
    tidy[:-1] = [f"{part}_" if _folded(part).endswith(suffix) else part for part in tidy[:-1]]
    place = "/".join(tidy)
    return place if len(place.encode()) <= DEEPEST else tidy[-1]


def _tidy_part(part: str) -> str:
    short = part.encode()[:LONGEST].decode(errors="ignore")
    legal = FORBIDDEN.sub("_", short)
    return f"_{legal}" if RESERVED.match(legal) else legal


def _folded(place: str) -> str:
    """Equal for places that some file system takes for one: by case, accents, joiners."""
    bare = "".join(letter for letter in place if letter not in JOINERS)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", bare).casefold())
