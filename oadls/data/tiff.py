"""TIFF files: what their tags say, and their samples.

TIFF has many layouts (planes, tiles, byte orders, BigTIFF), which tifffile reads. Pillow reads
what JPEG and fax compressed, whose colours depend on the codec.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

from oadls.data.bad import BadImage
from oadls.data.samples import Samples

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # of either byte order, classic and Big
FOR_PILLOW = (2, 3, 4, 6, 7)  # compressions: fax, old and new JPEG
PLAIN = (1, 5, 8, 32773, 32946, 34925, 50000)  # compressions that leave colours as they are
MODES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr"}  # photometric -> Pillow's name
WHITE_IS_ZERO, PALETTE, YCBCR = 0, 3, 6
UNSIGNED = 1
ALPHA = {1: "a", 2: "A"}  # kinds of extra channels: premultiplied, and not


def read_tiff(
    path: Path, data: bytes, *, check_size: Callable[[tuple[int, int]], None]
) -> tuple[Samples | None, int]:
    """The samples of the first page, and its orientation (1 to 8, as in EXIF).

    check_size : raises for a width and height, before anything is decoded
    returns None instead of samples for a file that Pillow reads
    raises BadImage for samples, colours or channels that cannot be read rightly
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        check_size((page.imagewidth, page.imagelength))
        check_size((max(page.tilewidth, 16), max(page.tilelength, 16)))
        mode = _mode(path, page)
        _refuse_channels_in_pages(path, page)
        orientation = int(_tag(page, "Orientation", 1))
        if page.compression in FOR_PILLOW and page.bitspersample <= 8:
            return None, orientation
        if not all(page.databytecounts):
            raise BadImage(f"{path}: the image is damaged or cut short (a part of it is missing)")
        planes = page.asarray(squeeze=False)  # (planes, 1, H, W, channels of a plane)
    values = np.moveaxis(planes[:, 0], 0, 2).reshape(*planes.shape[2:4], -1)  # (H, W, C)
    values = values[..., : len(_channels(mode))]
    if mode == "P":
        colours = np.asarray(page.colormap)  # (3, 2^bits) uint16
        values, mode = colours[:, values[..., 0]].transpose(1, 2, 0), "RGB"
        bits = 16 if colours.max() > 255 else 8  # some writers fill the lower half of the table
    else:
        bits = _bits(page, int(values.max()))
    inverted = page.photometric == WHITE_IS_ZERO
    return Samples(values=values, mode=mode, bits=bits, inverted=inverted), orientation


def _mode(path: Path, page: tifffile.TiffPage) -> str:
    """Pillow's name of the channels that are read, or BadImage."""
    depths = {page.bitspersample, *np.atleast_1d(_tag(page, "BitsPerSample", 1)).tolist()}
    kinds = set(np.atleast_1d(_tag(page, "SampleFormat", UNSIGNED)).tolist())
    if len(depths) > 1 or page.bitspersample > 16 or kinds != {UNSIGNED}:
        kind = "floating point" if 3 in kinds else "signed or mixed" if kinds != {UNSIGNED} else ""
        depth = " and ".join(str(depth) for depth in sorted(depths))
        raise BadImage(
            f"{path}: samples must be whole numbers of 8 or 16 bits without sign, "
            f"got {kind or 'whole'} of {depth} bits"
        )
    if page.photometric not in MODES:
        name = getattr(page.photometric, "name", page.photometric)
        raise BadImage(f"{path}: colours must be gray, RGB, palette, CMYK or YCbCr, got {name}")
    mode = MODES[page.photometric]
    steps = tuple(_tag(page, "YCbCrSubSampling", (2, 2)))
    plain = page.compression in PLAIN and steps == (1, 1)
    for_pillow = page.compression in FOR_PILLOW and page.bitspersample == 8
    if page.photometric == YCBCR and not (plain or for_pillow):
        raise BadImage(f"{path}: YCbCr must be of 8 bits by JPEG, or stored whole, it is not")
    extra = page.samplesperpixel - len(_channels(mode))
    kind_of_extra = page.extrasamples[0] if page.extrasamples else 0
    if extra == 0:
        return mode
    if extra == 1 and mode in ("L", "RGB") and kind_of_extra in ALPHA:
        return mode + ALPHA[kind_of_extra]
    if extra == 1 and mode == "RGB":  # nothing is said of it: it is no transparency
        return mode
    raise BadImage(
        f"{path}: {mode} has {len(_channels(mode))} channels and may have transparency, "
        f"got {page.samplesperpixel} channels"
    )


def _channels(mode: str) -> str:
    """A letter each."""
    return mode.replace("Cb", "b").replace("Cr", "r")


def _refuse_channels_in_pages(path: Path, page: tifffile.TiffPage) -> None:
    """Of a stack the first page is read, but no single channel of a picture."""
    imagej = re.search(r"^channels=(\d+)", page.description, re.MULTILINE)
    ome = re.search(r"<Pixels[^>]*\sSizeC=\"(\d+)\"", page.description)
    named = [int(found[1]) for found in (imagej, ome) if found]
    if named and page.samplesperpixel == 1 and max(named) > 1:
        raise BadImage(
            f"{path}: its {max(named)} channels stand in pages of their own; save them as one RGB "
            "picture (ImageJ: Image > Type > RGB Color)"
        )


def _bits(page: tifffile.TiffPage, highest: int) -> int | None:
    """Bits of the values as the file says them, None where it says no more than 16."""
    if page.bitspersample < 16:
        return int(page.bitspersample)
    said = re.search(r"<Pixels[^>]*\sSignificantBits=\"(\d+)\"", page.description)
    ends = set(np.atleast_1d(_tag(page, "MaxSampleValue", 0)).tolist())
    bits = (
        {int(said[1])} if said else {int(end).bit_length() for end in ends if end & (end + 1) == 0}
    )
    real = bits.pop() if len(bits) == 1 else 0
    return real if 8 <= real < 16 and highest >> real == 0 else None


def _tag(page: tifffile.TiffPage, name: str, default: object) -> object:
    found = page.tags.get(name)
    return default if found is None else found.value
