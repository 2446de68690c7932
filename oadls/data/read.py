"""Image files to arrays: one reader for every format, every bad file an error that says which.

What becomes of unusual files:
- CMYK, YCbCr, gray, palette and 1-bit become RGB; samples of fewer than 8 bits are stretched.
- Of 9 to 16 bits a sample the upper eight are kept, by the range that the file says or its values
  show; where neither tells it, the file is refused and `bits` is asked for (oadls/data/samples.py).
- Transparency is laid on white; one that is 0 everywhere is none: the colours are the picture.
- EXIF orientation is applied. Embedded colour profiles are not.
- Of several frames or pages the first is read; the channels of one picture in pages are refused.
Refused: what is no image, is cut short or damaged, is smaller than 16 px a side, larger than
`max_pixels` or 1 GiB; samples without a known range (floating point, 32 bits, with a sign); colours
or channels that could be read in two ways (Lab, raw sensors, gray with more channels).
Pillow decodes what has 8 bits, tifffile and imagecodecs the rest and TIFF.
"""

import functools
import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from oadls.data.bad import BadImage, Unreadable
from oadls.data.detail import hash_detail, image_detail
from oadls.data.samples import Samples, read_jpeg2000, read_png, read_portable, to_8_bits
from oadls.data.tiff import SIGNATURES, read_tiff

__all__ = ["BadImage", "ImageFacts", "Unreadable", "hash_pixels", "inspect_image", "read_image"]

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # no PostScript
LEAST_SIDE = 16  # px
MAX_PIXELS = 50_000_000  # a 7,000 × 7,000 px smear; decoded, some 150 MB
MAX_BYTES = 1 << 30  # of a file
ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """What one decoding of an image tells about it.

    pixels_sha256  : over height, width and the decoded RGB bytes: equal for equal pictures,
                     whatever the file format
    detail_hash    : 256 bits of the fine detail, 64 hex digits (see `hash_detail`)
    black_fraction : share of exactly black pixels
    """

    height: int
    width: int
    pixels_sha256: str
    detail_hash: str
    black_fraction: float


def read_image(path: Path, *, bits: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as 8-bit RGB.

    bits : 8 to 16, of each sample in files of 16 bits that do not say it themselves
    max_pixels : images with more are refused by their header, before anything is decoded
    returns (H, W, 3) uint8 RGB
    raises BadImage, with the path, for a file that the head of this module refuses; Unreadable
        where it is not the file's fault, or may not be
    """
    path = Path(path)
    data = _read_bytes(path)
    with warnings.catch_warnings():
        # Pillow warns of bad EXIF, odd palettes and of sizes that are checked here anyway.
        warnings.simplefilter("ignore")
        try:
            return np.array(_to_rgb(_decode(path, data, bits, max_pixels)), dtype=np.uint8)
        except BadImage:
            raise
        except MemoryError as error:
            raise Unreadable(f"{path}: cannot be read (out of memory)") from error
        except Image.DecompressionBombError as error:
            limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels))  # Pillow's own
            raise BadImage(f"{path}: at most {limit:,} pixels, got more ({error})") from error
        except Image.UnidentifiedImageError as error:
            raise BadImage(f"{path}: must be one of {', '.join(FORMATS)}, it is not") from error
        except Exception as error:  # decoders raise whatever their parser runs into
            if "out of memory" in str(error):  # Pillow's word for it
                raise Unreadable(f"{path}: cannot be read (out of memory)") from error
            raise BadImage(f"{path}: the image is damaged or cut short ({error})") from error


def inspect_image(
    path: Path, *, bits: int | None = None, max_pixels: int = MAX_PIXELS
) -> ImageFacts:
    """Decode an image once and describe it; raises BadImage as `read_image` does."""
    pixels = read_image(path, bits=bits, max_pixels=max_pixels)
    height, width, _ = pixels.shape
    black = (pixels[..., 0] | pixels[..., 1] | pixels[..., 2]) == 0  # (H, W)
    return ImageFacts(
        height=height,
        width=width,
        pixels_sha256=hash_pixels(pixels),
        detail_hash=hash_detail(image_detail(pixels)),
        black_fraction=float(black.mean()),
    )


def hash_pixels(pixels: np.ndarray) -> str:
    """sha256 over the shape and the bytes of an (H, W, 3) uint8 image, 64 hex digits."""
    digest = hashlib.sha256("{}x{}x{};".format(*pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _read_bytes(path: Path) -> bytes:
    """The whole file, so that what a decoder complains of later is what is in it."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadImage(f"{path}: must be a file, it is a folder or a device")
            if status.st_size > MAX_BYTES:
                raise BadImage(f"{path}: at most {MAX_BYTES:,} bytes, got {status.st_size:,}")
            data = file.read()
    except IsADirectoryError as error:
        raise BadImage(f"{path}: must be a file, it is a folder or a device") from error
    except FileNotFoundError as error:
        raise Unreadable(f"{path}: no such file") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Unreadable(f"{path}: cannot be read ({reason})") from error
    except MemoryError as error:
        raise Unreadable(f"{path}: cannot be read (out of memory)") from error
    if not data:
        raise BadImage(f"{path}: the file is empty (0 bytes)")
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer


def _check_size(path: Path, size: tuple[int, int], *, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise BadImage(f"{path}: at most {max_pixels:,} pixels, got {width} × {height}")
    if min(size) < LEAST_SIDE:
        raise BadImage(
            f"{path}: at least {LEAST_SIDE} × {LEAST_SIDE} pixels, got {width} × {height}"
        )


def _decode(path: Path, data: bytes, bits: int | None, max_pixels: int) -> Image.Image:
    """The picture in any mode of 8 bits a sample, upright."""
    check_size = functools.partial(_check_size, path, max_pixels=max_pixels)
    samples, orientation = None, None
    if data.startswith(SIGNATURES):
        samples, orientation = read_tiff(path, data, check_size=check_size)
        if samples is not None:
            return _upright(to_8_bits(path, samples, bits=bits), orientation)
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        check_size(picture.size)
        samples = _deep_samples(path, data, picture.format)
        if samples is None:
            picture.load()
            return ImageOps.exif_transpose(_known_range(path, picture))
        return _upright(to_8_bits(path, samples, bits=bits), picture.getexif().get(ORIENTATION))


def _deep_samples(path: Path, data: bytes, kind: str | None) -> Samples | None:
    """Those of more than 8 bits, which Pillow would cut."""
    if kind == "PNG":
        return read_png(data)
    if kind == "JPEG2000":
        return read_jpeg2000(path, data)
    return read_portable(path, data) if kind == "PPM" else None


def _known_range(path: Path, picture: Image.Image) -> Image.Image:
    """With samples of 8 bits: Pillow stretches those of a PGM to 16 by what its header says."""
    if picture.mode == "F":
        raise BadImage(f"{path}: samples must be whole numbers of 8 or 16 bits, got floating point")
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def _upright(picture: Image.Image, orientation: int | None) -> Image.Image:
    if orientation is not None:
        picture.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(picture)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode of 8 bits to RGB, on white."""
    if picture.mode in ("La", "RGBa"):  # premultiplied
        values = np.asarray(picture)
        colours, alpha = values[..., :-1], values[..., -1:]
        white = (255 - alpha) * np.uint8(bool(alpha.any()))
        rgb = np.minimum(colours.astype(np.uint16) + white, 255).astype(np.uint8)
        return Image.fromarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    if not layer.getchannel("A").getbbox():  # 0 everywhere: an unused channel
        return layer.convert("RGB")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
