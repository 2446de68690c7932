"""Letters of every script in figures: by an installed font that has them, else spelled in Latin."""

import functools
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set

from anyascii import anyascii
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

NO_FONTS = ("Last Resort", "Emoji")  # boxes for every letter; pictures that cannot be drawn
LIKELY = ("Noto Sans", "Source Han", "Arial Unicode", "WenQuanYi", "Unifont")  # are tried first
UNSEEN = {chr(code) for code in (0x200C, 0x200D, *range(0xFE00, 0xFE10))} | {"\n"}
FOREIGN = re.compile(r"[^\x00-\x7f]+")
LONGEST = 24  # letters of a name
log = logging.getLogger(__name__)
_told = False


def named(names: Sequence[str]) -> list[str]:
    """Names as a figure shows them: not too long, no two alike, none that a legend passes over."""
    short = [_short(name) for name in names]
    met = Counter(short)
    return [f"{s} ({k})" if met[s] > 1 else s for k, s in enumerate(short, start=1)]


def _short(name: str) -> str:
    text = name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[1 - LONGEST // 2 :]}"
    return f" {text}" if text.startswith("_") else text  # matplotlib hides labels that begin so


def make_readable(figure: Figure) -> None:
    """Let every text of a figure be shown as it is: "$" begins no formula, no letter is a box.

    A letter that no font has is spelled in Latin; one warning a program says so.
    """
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    ticks = [[label.get_text() for label in axis.get_ticklabels()] for axis in axes]
    texts = [found for found in figure.findobj(Text) if isinstance(found, Text)]
    shown = {text.get_text() for text in texts}.union(*ticks)
    fonts, lost = fonts_for(set().union(*shown) - UNSEEN)
    spelling = spelled(shown, lost)
    if lost:
        _tell(lost)
        for axis, labels in zip(axes, ticks, strict=True):
            if lost & set().union(*labels):
                axis.set_ticks(axis.get_ticklocs(), [spelling[label] for label in labels])
    for text in texts:
        text.set_parse_math(False)
        text.set_text(spelling.get(text.get_text(), text.get_text()))
        text.set_fontfamily([*text.get_fontfamily(), *fonts])


def fonts_for(letters: Set[str]) -> tuple[list[str], Set[str]]:
    """Names of fonts that have what the usual one lacks, and the letters that none has."""
    lost, fonts = letters - letters_of(findfont(FontProperties())), []
    for font in _others() if lost else ():
        if found := lost & letters_of(font.fname):
            fonts.append(font.name)
            lost = lost - found
        if not lost:
            break
    return fonts, lost


@functools.cache
def letters_of(font: str) -> frozenset[str]:
    """The letters that a font file has; none where it cannot be read."""
    try:
        return frozenset(map(chr, FT2Font(font).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


def _others() -> list[FontEntry]:
    upright = [font for font in fontManager.ttflist if font.style == "normal"]
    fonts = [font for font in upright if not any(name in font.name for name in NO_FONTS)]
    return sorted(fonts, key=lambda f: (not f.name.startswith(LIKELY), f.weight != 400, f.name))


def spelled(texts: Iterable[str], lost: Set[str]) -> dict[str, str]:
    """Each text, its words with lost letters in Latin, or as codes where two texts would be one."""
    latin = {text: _replaced(text, lost, _latin) for text in texts}
    met = Counter(latin.values())
    return {
        text: spelling if met[spelling] == 1 else _replaced(text, lost, _codes)
        for text, spelling in latin.items()
    }


def _replaced(text: str, lost: Set[str], change: Callable[[str], str]) -> str:
    return FOREIGN.sub(lambda word: change(word[0]) if lost & set(word[0]) else word[0], text)


def _latin(word: str) -> str:
    return anyascii(word) or _codes(word)


def _codes(word: str) -> str:
    return "".join(f"<{ord(letter):X}>" for letter in word)


def _tell(lost: Set[str]) -> None:
    global _told
    if not _told:
        log.warning(
            "figures: no installed font has %s: names are spelled in Latin letters; "
            "install a font that has them, as fonts-noto-cjk",
            ", ".join(sorted(lost)[:5]),
        )
    _told = True
