"""Drawn masks: which of their codes is what, and a mask in the codes of this project."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from oadls.errors import UserError
from oadls.segment.score import CYTOPLASM, NUCLEUS

log = logging.getLogger(__name__)

REGIONS = {"background": 0, "cytoplasm": CYTOPLASM, "nucleus": NUCLEUS, "cell": CYTOPLASM}
SHOWN = 8  # codes that an error prints


@dataclass(frozen=True)
class MaskCodes:
    """What the codes of a data set's masks mean.

    regions : code -> background, cytoplasm, nucleus, or cell for both in one
    given : whether the user said so
    """

    regions: Mapping[int, str]
    given: bool

    @property
    def scored(self) -> list[str]:
        """Which of nucleus and cell these masks know."""
        names = set(self.regions.values())
        known = {"nucleus": "nucleus" in names, "cell": bool(names & {"cytoplasm", "cell"})}
        return [name for name, there in known.items() if there]


def read_codes(setting: Mapping[object, object] | None) -> MaskCodes:
    """The codes of a config: data.mask_codes.

    setting : code -> region or our own code ({1: cytoplasm, 2: 255}), or region -> code or codes
        ({nucleus: [2, 3]}); None for 128 and 255. A code that is not named is refused later, 0 is
        background
    raises UserError for what is no such mapping
    """
    if setting is None:
        return MaskCodes({0: "background", CYTOPLASM: "cytoplasm", NUCLEUS: "nucleus"}, False)
    if not isinstance(setting, Mapping):
        raise UserError(
            f'data.mask_codes is a mapping, as "{{1: cytoplasm, 2: nucleus}}": {setting}'
        )
    regions: dict[int, str] = {}
    for key, value in setting.items():
        for code, region in _pairs(key, value):
            if code in regions:
                raise UserError(f"data.mask_codes: code {code} is {regions[code]} and {region}")
            regions[code] = region
    regions.setdefault(0, "background")
    names = set(regions.values())
    if names == {"background"} or {"cell", "cytoplasm"} <= names or {"cell", "nucleus"} <= names:
        raise UserError(
            "data.mask_codes names nucleus, cytoplasm or both, or the cell alone, "
            f"not {', '.join(sorted(names))}"
        )
    return MaskCodes(regions, True)


def read_mask(path: Path, *, codes: MaskCodes, shape: tuple[int, int]) -> np.ndarray:
    """A mask file in the codes of this project.

    shape : height and width of its image, px
    returns (H, W) uint8: 0 background, 128 cytoplasm (or cell), 255 nucleus
    raises UserError for a file that is no mask, has another size, or holds codes that nobody named
    """
    values = read_values(path)
    if values.shape != shape:
        (height, width), (rows, columns) = shape, values.shape
        raise UserError(
            f"mask: {path} is of the size of its image, {width} × {height} px, "
            f"not {columns} × {rows} px"
        )
    seen = np.unique(values)
    if unknown := sorted(set(seen.tolist()) - set(codes.regions)):
        raise UserError(_unknown(path, seen.tolist(), unknown, codes))
    mask = np.zeros(values.shape, np.uint8)
    for code, region in codes.regions.items():
        mask[values == code] = REGIONS[region]
    return mask


def read_values(path: Path) -> np.ndarray:
    """(H, W) integers, the codes as they stand in a mask file.

    A palette counts by its colours where these are gray, else by its numbers; of colours that are
    equal in all channels one is taken, transparency is passed over.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "P":
                colours = np.asarray(image.convert("RGB"))
                return colours[..., 0] if _is_gray(colours) else np.asarray(image)
            if image.mode == "1":
                return np.where(np.asarray(image), NUCLEUS, 0)
            values = np.asarray(image)
    except FileNotFoundError:
        raise UserError(f"mask: {path} is not there") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"mask: {path} is not a readable image ({error})") from error
    if values.ndim == 3 and values.shape[2] in (2, 4):
        values = values[..., :-1]
    if values.ndim == 3 and not _is_gray(values):
        raise UserError(f"mask: {path} has one code a pixel, its pixels are of several colours")
    values = values if values.ndim == 2 else values[..., 0]
    if values.dtype.kind == "f" and (values % 1 != 0).any():
        raise UserError(f"mask: {path} has one code a pixel, its pixels are fractions")
    return values


def warn_of_absent(seen: Collection[int], codes: MaskCodes) -> None:
    """Say it where all masks hold but one region: they may mean another."""
    if not codes.given and seen and CYTOPLASM not in seen:
        log.warning(
            "masks: codes %s were seen, which count as nucleus alone: "
            'set data.mask_codes="{255: cell}" if it is the whole cell',
            ", ".join(map(str, sorted(seen))),
        )


def _pairs(key: object, value: object) -> Iterable[tuple[int, str]]:
    """(code, region) of an entry, whichever of the two comes first."""
    if isinstance(key, str) and key in REGIONS:
        several = isinstance(value, Sequence) and not isinstance(value, str)
        codes: Iterable[object] = value if several else [value]  # type: ignore[assignment]
        return [(_code(code), key) for code in codes]
    return [(_code(key), _region(value))]


def _code(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise UserError(f"data.mask_codes: a code is a whole number, not {value}") from None


def _region(value: object) -> str:
    ours = {code: name for name, code in REGIONS.items() if name != "cell"}
    name = ours.get(value, value)  # type: ignore[call-overload]
    if name not in REGIONS:
        raise UserError(
            f"data.mask_codes: a code is {', '.join(REGIONS)} (or 0, 128, 255), not {value}"
        )
    return str(name)


def _is_gray(colours: np.ndarray) -> bool:
    """Whether all channels of (H, W, C) agree."""
    return bool((colours == colours[..., :1]).all())


def _unknown(path: Path, seen: list[int], unknown: list[int], codes: MaskCodes) -> str:
    """What to do about codes that nobody named: with two or one of them, the setting."""
    own = [code for code in seen if code != 0]
    told = ", ".join(map(str, seen[:SHOWN])) + (f", … ({len(seen)})" if len(seen) > SHOWN else "")
    named = ", ".join(f"{code} {region}" for code, region in sorted(codes.regions.items()))
    text = f"mask: {path} holds the codes {told}, of which {unknown[0]} is none of {named}"
    if len(own) == 1:
        return f'{text}: set data.mask_codes="{{{own[0]}: nucleus}}", or cell for the whole cell'
    if len(own) == 2:
        low, high = own
        return f'{text}: set data.mask_codes="{{{low}: cytoplasm, {high}: nucleus}}", as it may be'
    return f"{text}: data.mask_codes says what they mean; a mask must be saved without loss"
