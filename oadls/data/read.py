"""Image files to arrays: one reader for every format, every bad file an error that says which.

What becomes of unusual files (Pillow decodes them all):
CMYK, YCbCr, gray, palette and 1-bit become RGB; 16 bits a sample keep the upper eight;
transparency is laid on white; EXIF orientation is applied; of several frames the first is read.
Refused: what is no image, is cut short, is smaller than 16 px a side or larger than `max_pixels`,
and samples without a known range (floating point, 32-bit).
"""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from oadls.data.detail import hash_detail, image_detail
from oadls.errors import UserError

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # no PostScript
LEAST_SIDE = 16  # px
MAX_PIXELS = 50_000_000  # a 7,000 × 7,000 px smear; decoded, some 150 MB
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


class BadImage(UserError):
    """A file that cannot be used as an image; the message begins with its path."""


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


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as 8-bit RGB.

    max_pixels : images with more are refused by their header, before anything is decoded
    returns (H, W, 3) uint8 RGB
    raises BadImage, with the path, for a file that the head of this module refuses
    """
    path = Path(path)
    _check_file(path)
    with warnings.catch_warnings():
        # Pillow warns of bad EXIF, odd palettes and of sizes that are checked here anyway.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=FORMATS) as picture:
                _check_size(path, picture.size, max_pixels=max_pixels)
                return np.array(_to_rgb(path, picture), dtype=np.uint8)  # (H, W, 3)
        except BadImage:
            raise
        except Image.DecompressionBombError as error:
            limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels))  # Pillow's own
            raise BadImage(f"{path}: at most {limit:,} pixels, got more ({error})") from error
        except Image.UnidentifiedImageError as error:
            raise BadImage(f"{path}: must be one of {', '.join(FORMATS)}, it is not") from error
        except Exception as error:  # decoders raise whatever their parser runs into
            raise BadImage(f"{path}: the image is damaged or cut short ({error})") from error


def inspect_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Decode an image once and describe it; raises BadImage as `read_image` does."""
    pixels = read_image(path, max_pixels=max_pixels)
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


def _check_file(path: Path) -> None:
    if not path.exists():
        raise BadImage(f"{path}: no such file")
    if not path.is_file():
        raise BadImage(f"{path}: must be a file, it is a folder or a device")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadImage(f"{path}: cannot be read ({error.strerror})") from error
    if size == 0:
        raise BadImage(f"{path}: the file is empty (0 bytes)")


def _check_size(path: Path, size: tuple[int, int], *, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise BadImage(f"{path}: at most {max_pixels:,} pixels, got {width} × {height}")
    if min(size) < LEAST_SIDE:
        raise BadImage(
            f"{path}: at least {LEAST_SIDE} × {LEAST_SIDE} pixels, got {width} × {height}"
        )


def _to_rgb(path: Path, picture: Image.Image) -> Image.Image:
    """Decode, turn upright and convert to RGB."""
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in (*SIXTEEN_BIT, "I"):
        return Image.fromarray(_upper_byte(path, np.asarray(upright))).convert("RGB")
    if upright.mode == "F":
        raise BadImage(f"{path}: samples must be whole numbers of 8 or 16 bits, got floating point")
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")


def _upper_byte(path: Path, samples: np.ndarray) -> np.ndarray:
    """16-bit gray to 8 bits as Pillow does it for 16-bit colour, (H, W) to (H, W) uint8."""
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 0xFFFF:
        raise BadImage(f"{path}: samples must be of 8 or 16 bits, got values {low} to {high}")
    return (samples >> 8).astype(np.uint8)
