"""What is read from a file is what was written into it, whichever library wrote it and how."""

import io
import itertools
import struct

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oadls.data.read import BadImage, read_image

SIZE = (20, 36)  # H, W: no multiple of a tile
LOSSLESS = [None, "zlib", "lzw", "packbits", "lzma", "zstd", "png", "jpeg2000", "jpegxl", "jpegxr"]


def noise(channels: int, bits: int = 8) -> np.ndarray:
    """(H, W, C), or (H, W) of one channel, with the lowest and the highest value."""
    rng = np.random.default_rng(channels)
    values = rng.integers(0, 1 << bits, (*SIZE, channels))
    values[0, 0], values[0, 1] = 0, (1 << bits) - 1
    return values.squeeze().astype(np.uint8 if bits <= 8 else np.uint16)


def rgb(values: np.ndarray, bits: int = 8) -> np.ndarray:
    """(H, W) or (H, W, 3) of so many bits as the RGB that must come of it."""
    eight = values >> (bits - 8) if bits >= 8 else np.rint(values / (2**bits - 1) * 255)
    return np.stack([eight] * 3, axis=2) if values.ndim == 2 else eight


def read(data: bytes, tmp_path, **settings) -> np.ndarray:
    (tmp_path / "cell").write_bytes(data)
    return read_image(tmp_path / "cell", **settings)


def refusal(data: bytes, tmp_path, **settings) -> str:
    with pytest.raises(BadImage) as caught:
        read(data, tmp_path, **settings)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "cell"))
    assert "\n" not in message
    return message


def tiff(values: np.ndarray, **settings) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **settings)
    return file.getvalue()


def saved(picture: Image.Image, **settings) -> bytes:
    file = io.BytesIO()
    picture.save(file, **settings)
    return file.getvalue()


def planar(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(values, 2, 0))


@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["gray", "rgb", "planes"])
def test_tiff_of_every_compression_comes_back(tmp_path, compression, bits, kind):
    values = noise(1 if kind == "gray" else 3, bits)
    settings = {"photometric": "minisblack" if kind == "gray" else "rgb"}
    if kind == "planes":
        settings["planarconfig"] = "separate"
    lossless = {"jpeg2000": {"level": 0}, "jpegxl": {"lossless": True}, "jpegxr": {"level": 100}}
    written = planar(values) if kind == "planes" else values
    data = tiff(
        written, compression=compression, compressionargs=lossless.get(compression), **settings
    )
    np.testing.assert_array_equal(read(data, tmp_path), rgb(values, bits))


LAYOUTS = st.fixed_dictionaries(
    {
        "byteorder": st.sampled_from("<>"),
        "bigtiff": st.booleans(),
        "tile": st.sampled_from([None, (16, 16), (32, 48)]),
        "rowsperstrip": st.sampled_from([None, 1, 7, 100]),
        "compression": st.sampled_from([None, "zlib", "lzw", "packbits", "zstd"]),
        "predictor": st.booleans(),
    }
)


@given(
    bits=st.sampled_from([8, 16]),
    kind=st.sampled_from(["L", "LA", "RGB", "RGBA", "RGBX", "CMYK"]),
    planes=st.booleans(),
    layout=LAYOUTS,
)
def test_tiff_of_every_layout_comes_back(tmp_path_factory, bits, kind, planes, layout):
    values = noise(len(kind), bits)
    settings = {"photometric": {"L": "minisblack", "C": "separated", "R": "rgb"}[kind[0]]}
    if kind == "LA":
        settings["photometric"] = "minisblack"
    extra = {"LA": "unassalpha", "RGBA": "unassalpha", "RGBX": "unspecified"}.get(kind)
    if extra:
        settings["extrasamples"] = [extra]
        if extra == "unassalpha":
            values[..., -1] = (1 << bits) - 1  # opaque: the colours must come back
    if len(kind) > 1:
        settings["planarconfig"] = "separate" if planes else "contig"
    if layout["compression"] in (None, "packbits"):
        layout["predictor"] = False
    if layout["tile"]:
        layout["rowsperstrip"] = None
    written = planar(values) if planes and len(kind) > 1 else values
    found = read(tiff(written, **settings, **layout), tmp_path_factory.mktemp("tiff"))
    if kind == "CMYK":
        eight = Image.fromarray((values >> (bits - 8)).astype(np.uint8), "CMYK")
        expected = np.asarray(eight.convert("RGB"))
    elif kind == "LA":
        expected = rgb(values[..., 0], bits)
    else:
        expected = rgb(values[..., :3] if values.ndim == 3 else values, bits)
    np.testing.assert_array_equal(found, expected)


def packed(values: np.ndarray, bits: int, byteorder: str) -> bytes:
    """A TIFF written by hand, its samples one behind the other, the highest bit first."""
    ones = (values[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(ones.reshape(SIZE[0], -1).astype(np.uint8), axis=1).tobytes()
    number = 1 if values.ndim == 2 else 3
    depths = struct.pack(byteorder + "4H", *[bits] * number, *[0] * (4 - number))
    place = depths[:4] if number == 1 else struct.pack(byteorder + "I", 8)
    shorts = {256: SIZE[1], 257: SIZE[0], 258: None, 259: 1, 262: number // 2 + 1, 273: 16}
    shorts |= {277: number, 278: SIZE[0], 279: len(rows)}
    table = b"".join(
        struct.pack(byteorder + "HHI", tag, 3, 1 if value is not None else number)
        + (place if value is None else struct.pack(byteorder + "HH", value, 0))
        for tag, value in shorts.items()
    )
    start = {"<": b"II", ">": b"MM"}[byteorder]
    start += struct.pack(byteorder + "HI", 42, 16 + len(rows)) + depths
    return start + rows + struct.pack(byteorder + "H", len(shorts)) + table + bytes(4)


@pytest.mark.parametrize("bits", range(1, 16))
@pytest.mark.parametrize("channels", [1, 3])
def test_packed_tiff_of_any_depth_is_read_by_its_range(tmp_path, bits, channels):
    values = noise(channels, bits)
    photometric = "rgb" if channels == 3 else "minisblack"
    files = [packed(values, bits, "<"), packed(values, bits, ">")]
    files += [tiff(values, photometric=photometric, bitspersample=bits)]
    for data in files:
        assert np.abs(read(data, tmp_path).astype(int) - rgb(values, bits)).max() <= 1


@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
def test_tiff_whose_white_is_zero_is_turned(tmp_path, bits):
    values = noise(1, bits)
    data = tiff(values, photometric="miniswhite", bitspersample=bits)
    assert np.abs(read(data, tmp_path).astype(int) - (255 - rgb(values, bits))).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("table", [8, 16])
def test_palette_of_a_tiff_becomes_its_colours(tmp_path, bits, table):
    values = noise(1, bits)
    colours = np.random.default_rng(1).integers(0, 1 << table, (3, 1 << bits)).astype(np.uint16)
    data = tiff(values, photometric="palette", colormap=colours)
    expected = (colours >> (table - 8))[:, values].transpose(1, 2, 0)
    np.testing.assert_array_equal(read(data, tmp_path), expected)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"]
PILLOWS = [None, "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "lzma", "zstd"]
FAX = ["group3", "group4", "tiff_ccitt"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("compression", PILLOWS + FAX)
def test_tiff_by_pillow_comes_back(tmp_path, mode, compression):
    if compression in FAX and mode != "1":
        return
    values = noise(3)
    picture = Image.fromarray(values).convert(mode)
    data = saved(picture, format="TIFF", compression=compression)
    expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(read(data, tmp_path), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
def test_jpeg_in_a_tiff_has_its_colours(tmp_path, mode):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    values = np.stack([x * 7, y * 12, 255 - x * 7], axis=2).astype(np.uint8)
    picture = Image.fromarray(values).convert(mode)
    data = saved(picture, format="TIFF", compression="jpeg", quality=98)
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(read(data, tmp_path) - expected).mean() < 6


REFUSED = {
    "floating point": tiff(np.full(SIZE, 0.5, np.float32)),
    "of 64 bits": tiff(np.full(SIZE, 0.5, np.float64)),
    "without sign": tiff(noise(1).astype(np.int8)),
    "signed": tiff(noise(1, 15).astype(np.int16)),
    "whole of 32 bits": tiff(noise(1, 16).astype(np.uint32)),
    "of 8 or 16 bits": tiff(noise(1, 16).astype(np.uint64)),
    "got CIELAB": tiff(noise(3), photometric="cielab"),
    "got CFA": tiff(noise(1), photometric="cfa"),
    "L has 1 channels": tiff(noise(3), photometric="minisblack", planarconfig="contig"),
    "got 2 channels": tiff(
        noise(2), photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"]
    ),
    "stored whole": tiff(noise(3), photometric="ycbcr").replace(
        struct.pack("<HHIHH", 530, 3, 2, 1, 1), struct.pack("<HHIHH", 530, 3, 2, 2, 2)
    ),
    "3 channels stand in pages": tiff(
        noise(3, 16).transpose(2, 0, 1), imagej=True, metadata={"axes": "CYX"}
    ),
    "4 channels stand in pages": tiff(noise(4).transpose(2, 0, 1), ome=True, photometric=0)
    .replace(b'SizeZ="4"', b'SizeZ="1"')
    .replace(b'SizeC="1"', b'SizeC="4"'),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_tiff_that_could_be_read_in_two_ways_is_refused(tmp_path, reason):
    assert reason in refusal(REFUSED[reason], tmp_path)


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_first_page_of_a_stack_is_read(tmp_path, kind):
    pages = np.stack([noise(1, 16), noise(1, 16)[::-1]])
    data = tiff(pages, metadata={"axes": "ZYX"}, **{kind: True})
    np.testing.assert_array_equal(read(data, tmp_path), rgb(pages[0], 16))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_that_is_cut_short_is_refused(tmp_path, bits, compression, tile):
    data = tiff(noise(3, bits), photometric="rgb", compression=compression, tile=tile)
    for share in (0.2, 0.5, 0.95):
        refusal(data[: int(len(data) * share)], tmp_path)


# --- 16 bits that may be fewer


def png16(values: np.ndarray) -> bytes:
    return imagecodecs.png_encode(values)


def portable(values: np.ndarray, top: int = 65535) -> bytes:
    kind = "P5" if values.ndim == 2 else "P6"
    header = f"{kind}\n# drawn\n{SIZE[1]} {SIZE[0]}\n{top}\n"
    return header.encode() + values.astype(">u2" if top > 255 else "u1").tobytes()


DEEP = {
    "tiff": tiff,
    "planes": lambda v: tiff(planar(v), photometric="rgb", planarconfig="separate"),
    "png": png16,
    "jpeg2000": lambda v: imagecodecs.jpeg2k_encode(v, level=0, reversible=True),
    "portable": portable,
}


@pytest.mark.parametrize("writer", DEEP)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_fewer_bits_in_16_are_asked_for_and_then_read_by_their_range(
    tmp_path, writer, channels, bits
):
    if writer == "planes" and channels == 1:
        return
    values = noise(channels, bits)
    data = DEEP[writer](values)
    assert "set data.bits" in refusal(data, tmp_path)
    np.testing.assert_array_equal(read(data, tmp_path, bits=bits), rgb(values, bits))
    np.testing.assert_array_equal(read(data, tmp_path, bits=16), rgb(values, 16))
    assert f"end at {2 ** (bits - 1) - 1:,}" in refusal(data, tmp_path, bits=bits - 1)


@pytest.mark.parametrize("writer", DEEP)
def test_16_bits_that_are_used_need_no_word(tmp_path, writer):
    values = noise(3, 16)
    np.testing.assert_array_equal(read(DEEP[writer](values), tmp_path), rgb(values, 16))


def test_equal_values_get_equal_colours_however_bright_the_rest_is(tmp_path):
    dark, bright = noise(1, 11), noise(1, 12)
    dark[0, 0] = bright[0, 0] = 1000
    found = [read(tiff(v), tmp_path, bits=12)[0, 0, 0] for v in (dark, bright)]
    assert found == [1000 >> 4] * 2


@pytest.mark.parametrize("said", ["tag", "ome"])
@pytest.mark.parametrize("bits", [10, 12])
def test_the_range_that_a_tiff_says_is_taken(tmp_path, said, bits):
    values = noise(3, bits) // 3  # dark: no sample shows the range
    if said == "tag":
        tags = [(281, "H", 3, (2**bits - 1,) * 3, True)]
        data = tiff(values, photometric="rgb", extratags=tags)
    else:
        data = tiff(values, photometric="rgb", ome=True, metadata={"SignificantBits": bits})
    np.testing.assert_array_equal(read(data, tmp_path), rgb(values, bits))


def test_the_largest_value_of_one_image_is_no_range(tmp_path):
    values = noise(1, 12) // 2
    data = tiff(values, extratags=[(281, "H", 1, int(values.max()) - 3, True)])
    assert "set data.bits" in refusal(data, tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("codec", ["jp2", "j2k"])
def test_jpeg_2000_is_read_by_the_bits_that_it_says(tmp_path, channels, bits, codec):
    values = noise(channels, bits)
    data = imagecodecs.jpeg2k_encode(
        values, bitspersample=bits, reversible=True, level=0, codecformat=codec
    )
    np.testing.assert_array_equal(read(data, tmp_path), rgb(values, bits))
    if bits < 16:
        dark = imagecodecs.jpeg2k_encode(
            values // 4, bitspersample=bits, reversible=True, level=0, codecformat=codec
        )
        np.testing.assert_array_equal(read(dark, tmp_path), rgb(values // 4, bits))


@pytest.mark.parametrize("top", [255, 300, 1023, 4095, 60000])
@pytest.mark.parametrize("channels", [1, 3])
def test_portable_maps_are_read_by_the_range_that_they_say(tmp_path, top, channels):
    values = noise(channels, 16) % (top + 1)
    data = portable(values, top)
    assert np.abs(read(data, tmp_path) - rgb(values) / top * 255).max() <= 1


# --- transparency


def opaque_or_not(alpha: np.ndarray) -> np.ndarray:
    return np.dstack([noise(3), alpha]).astype(np.uint8)


def bmp32(values: np.ndarray) -> bytes:
    """With a mask for alpha, as screenshots and drawing programs write it."""
    height, width, _ = values.shape
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    pixels = values[::-1, :, [2, 1, 0, 3]].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    header += masks + bytes(108 - len(header) - len(masks))
    return b"BM" + struct.pack("<IHHI", 14 + 108 + len(pixels), 0, 0, 14 + 108) + header + pixels


WITH_ALPHA = {
    "bmp": bmp32,
    "png": lambda v: saved(Image.fromarray(v), format="PNG"),
    "webp": lambda v: saved(Image.fromarray(v), format="WEBP", lossless=True, exact=True),
    "tiff": lambda v: tiff(v, photometric="rgb", extrasamples=["unassalpha"]),
    "tiff by Pillow": lambda v: saved(Image.fromarray(v), format="TIFF"),
    "premultiplied": lambda v: tiff(v, photometric="rgb", extrasamples=["assocalpha"]),
    "tiff 16": lambda v: tiff(
        v.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"]
    ),
    "png 16": lambda v: png16(v.astype(np.uint16) * 257),
    "jpeg2000": lambda v: saved(Image.fromarray(v), format="JPEG2000"),
}


@pytest.mark.parametrize("writer", WITH_ALPHA)
@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_that_is_the_same_everywhere_leaves_the_colours(tmp_path, writer, alpha):
    values = opaque_or_not(np.full(SIZE, alpha))
    found = read(WITH_ALPHA[writer](values), tmp_path)
    np.testing.assert_array_equal(found, values[..., :3])


@pytest.mark.parametrize("writer", WITH_ALPHA)
def test_transparency_of_every_format_is_laid_on_white(tmp_path, writer):
    alpha = np.tile(np.linspace(0, 255, SIZE[1]), (SIZE[0], 1)).astype(np.uint8)
    values = opaque_or_not(alpha)
    share = alpha[..., None] / 255
    if writer == "premultiplied":
        values[..., :3] = values[..., :3] * share
        expected = values[..., :3] + 255 * (1 - share)
    else:
        expected = values[..., :3] * share + 255 * (1 - share)
    assert np.abs(read(WITH_ALPHA[writer](values), tmp_path) - expected).max() <= 1.5


# --- against OpenCV


@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp", ".tiff", ".pnm", ".jpg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_opencv_reads_the_same(tmp_path, ending, channels):
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if ending == ".webp" else []
    _, written = cv2.imencode(ending, noise(channels), lossless)
    theirs = cv2.imdecode(written, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    difference = np.abs(read(written.tobytes(), tmp_path) - theirs)
    assert difference.max() <= (3 if ending == ".jpg" else 0)


def png(depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Written by hand: colour 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(itertools.starmap(chunk, parts))


@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (16, 4)])
def test_gray_png_of_every_depth_is_read_by_its_range(tmp_path, depth, colour):
    values = noise(1, depth)
    if depth < 8:
        ones = (values[..., None] >> np.arange(depth)[::-1]) & 1  # (H, W, depth)
        packed = np.packbits(ones.reshape(SIZE[0], -1), axis=1)
    else:
        shown = np.dstack([values, np.full_like(values, 0xFFFF)]) if colour == 4 else values
        packed = shown.astype(f">u{depth // 8}").reshape(SIZE[0], -1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    np.testing.assert_array_equal(read(png(depth, colour, rows), tmp_path), rgb(values, depth))
