"""Samples as a file holds them, brought to 8 bits by the range that they really have.

The range is what the file says: its bits a sample where these are not 16; else what OME-TIFF calls
significant bits, or a largest value (TIFF tag MaxSampleValue) that is all ones. Files of 16 bits
that say no more hold 16 bits when a sample has the highest of them. Where none has, a camera of
10, 12 or 14 bits or a dark picture may have made them, and the user must say which: the largest
value of each image by itself would give equal colours unequal values.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from PIL import Image

from oadls.data.bad import BadImage

SIZ = b"\xff\x4f\xff\x51"  # of JPEG 2000: what follows tells size, channels and their bits


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A picture as its file holds it.

    values : (H, W, C) uint8 or uint16
    mode : Pillow's name of the C channels, once they have 8 bits
    bits : 1 to 16, that the file says its values have; None where it says no more than 16
    inverted : whether 0 is white
    """

    values: np.ndarray
    mode: str
    bits: int | None
    inverted: bool = False


def to_8_bits(path: Path, samples: Samples, *, bits: int | None) -> Image.Image:
    """The picture in 8 bits: of more the upper eight, fewer stretched to 0 to 255.

    bits : that the values have where the file does not say it
    raises BadImage where nobody says it and the values do not show it, or where they have more
    """
    alpha = samples.mode.endswith(("a", "A"))
    colours = samples.values[..., :-1] if alpha else samples.values
    real = samples.bits or _real_bits(path, int(colours.max()), bits)
    if real >= 8:
        values = np.where(samples.values >> real, 255, samples.values >> (real - 8))
    else:
        values = samples.values * np.uint16(255) // (2**real - 1)
    values = values.astype(np.uint8)
    if samples.inverted:
        values[..., 0] = 255 - values[..., 0]
    height, width, _ = values.shape
    return Image.frombytes(samples.mode, (width, height), np.ascontiguousarray(values).tobytes())


def _real_bits(path: Path, highest: int, told: int | None) -> int:
    if told is not None:
        if highest >> told:
            raise BadImage(
                f"{path}: samples of data.bits={told} end at {2**told - 1:,}, got {highest:,}"
            )
        return told
    if highest >> 15 or highest == 0:
        return 16
    raise BadImage(
        f"{path}: its samples of 16 bits end at {highest:,} of 65,535, so they may have fewer "
        "bits, but the file does not say it; set data.bits to those of the camera (10, 12, 14), "
        "or to 16 if the picture is that dark"
    )


def read_png(data: bytes) -> Samples | None:
    """The samples of a PNG file of 16 bits; None for one of fewer."""
    if data[24:25] != b"\x10":  # of its header
        return None
    values = _with_channels(imagecodecs.png_decode(data))
    return Samples(values=values, mode=_mode(values), bits=None)


def read_jpeg2000(path: Path, data: bytes) -> Samples | None:
    """The samples of a JPEG 2000 file of 9 to 16 bits; None for one of fewer."""
    start = data.index(SIZ) + 40  # of number, then depth and steps of each channel
    number = int.from_bytes(data[start : start + 2], "big")
    channels = data[start + 2 : start + 2 + 3 * number]
    depths, steps = set(channels[::3]), {*channels[1::3], *channels[2::3]}
    if max(depths) < 8:  # a depth is stored less one
        return None
    if len(depths) > 1 or max(depths) > 15 or steps != {1} or number > 4 or _is_ycc(data):
        raise BadImage(
            f"{path}: JPEG 2000 of more than 8 bits must be gray or RGB of at most 16 bits without "
            "sign, equal in all channels, it is not"
        )
    values = _with_channels(imagecodecs.jpeg2k_decode(data))
    bits = max(depths) + 1
    return Samples(values=values, mode=_mode(values), bits=bits if bits < 16 else None)


def _is_ycc(data: bytes) -> bool:
    """Whether a JPEG 2000 file names the colour space sYCC."""
    found = re.search(rb"colr\x01..(.{4})", data[:4096], re.DOTALL)
    return found is not None and int.from_bytes(found[1], "big") == 18


def read_portable(path: Path, data: bytes) -> Samples | None:
    """The samples of a PGM or PPM file up to 65,535; None for others, whose header tells enough."""
    header = re.match(rb"P[2356](?:\s+(?:#[^\n]*\n\s*)*(\d+)){3}\s", data)
    if header is None or int(header[1]) != 0xFFFF:
        return None
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise BadImage(f"{path}: the image is damaged or cut short")
    values = _with_channels(values)[..., ::-1]  # OpenCV's blue, green, red
    return Samples(values=values, mode=_mode(values), bits=None)


def _with_channels(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 3 else values[..., None]


def _mode(values: np.ndarray) -> str:
    return ("L", "LA", "RGB", "RGBA")[values.shape[2] - 1]
