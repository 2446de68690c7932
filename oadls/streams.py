"""What a command prints arrives, whatever letters the terminal or the log takes."""

import codecs
import locale
import os
import sys

from oadls.names import printable_lines

SIMPLE = str.maketrans({"·": "-", "–": "-", "−": "-", "→": "->", "×": "x", "…": "...", "•": "*"})
HANDLER = "oadls.simple"


def speak_utf8() -> None:
    """Start the program again where Python would write files and read names in another encoding.

    What it prints stays in the encoding of the terminal.
    """
    known = codecs.lookup(locale.getencoding()).name == "utf-8" or sys.flags.utf8_mode
    if known or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def accept_every_letter() -> None:
    """Let nothing that is printed end the command: what the output has no letter for is escaped.

    A log or a terminal may take ASCII alone (PYTHONIOENCODING, LC_ALL, Windows' code pages), and
    the name of a file may hold bytes that are no text.
    """
    codecs.register_error(HANDLER, _simple)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def tell(error: Exception) -> None:
    """Print what the user is to read."""
    print(f"oadls: {printable_lines(str(error))}", file=sys.stderr)


def _simple(error: UnicodeError) -> tuple[str | bytes, int]:
    """Signs as ASCII draws them, letters as \\u767d."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end].translate(SIMPLE)
    return lost.encode("ascii", errors="backslashreplace").decode("ascii"), error.end
