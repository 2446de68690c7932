import dataclasses
import hashlib
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from oadls.data.detail import hash_detail, image_detail
from oadls.data.read import MAX_PIXELS, BadImage, ImageFacts, inspect_image, read_image
from oadls.errors import UserError


@pytest.fixture
def picture():
    """(40, 50, 3) uint8, smooth with some noise, so that truncating a file loses data."""
    y, x = np.mgrid[:40, :50]
    noise = np.random.default_rng(0).integers(0, 20, (40, 50))
    return np.stack([x * 5, y * 6, 60 + noise], axis=2).astype(np.uint8)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, depth, colour, rows):
    """A PNG file written by hand: colour 0 gray, 2 RGB; rows is the raw sample data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def refusal(path, **settings):
    """The message with which a file is refused; it begins with the path."""
    with pytest.raises(BadImage) as caught:
        read_image(path, **settings)
    assert isinstance(caught.value, UserError)
    message = str(caught.value)
    assert message.startswith(str(path))
    with pytest.raises(BadImage):
        inspect_image(path, **settings)
    return message


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_rgb_comes_back_pixel_for_pixel(tmp_path, picture, ending):
    path = tmp_path / f"cell.{ending}"
    Image.fromarray(picture).save(path, **({"lossless": True} if ending == "webp" else {}))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, picture)


def test_jpeg_comes_back_nearly(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "cell.jpg", quality=98)
    difference = read_image(tmp_path / "cell.jpg").astype(int) - picture
    assert np.abs(difference).mean() < 6


def test_ending_of_the_name_does_not_matter(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "cell.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "cell.jpg"), picture)


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "cell.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "cell.tif")[5, 5], [255, 0, 0])
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "cell.jpg", quality=98)
    np.testing.assert_allclose(read_image(tmp_path / "cell.jpg")[5, 5], [255, 0, 0], atol=4)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_gray_becomes_three_equal_channels(tmp_path, picture, mode):
    gray = Image.fromarray(picture).convert("L").convert(mode)
    gray.save(tmp_path / "cell.png")
    expected = np.repeat(np.asarray(gray.convert("L"))[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / "cell.png"), expected)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_gray_is_scaled_not_clipped(tmp_path, ending):
    samples = np.linspace(0, 65535, 20 * 30).reshape(20, 30).astype(np.uint16)
    path = tmp_path / f"cell.{ending}"
    Image.fromarray(samples).save(path)
    with Image.open(path) as stored:
        assert stored.mode.startswith("I;16")
    pixels = read_image(path)
    assert (pixels[0, 0, 0], pixels[-1, -1, 0]) == (0, 255)
    expected = samples / 257
    assert np.abs(pixels - expected[..., None]).max() <= 1


def test_16_bit_gray_of_a_portable_graymap_is_scaled(tmp_path):
    samples = np.linspace(0, 65535, 20 * 30).reshape(20, 30).astype(">u2")
    (tmp_path / "cell.pgm").write_bytes(b"P5 30 20 65535\n" + samples.tobytes())
    pixels = read_image(tmp_path / "cell.pgm")
    assert np.abs(pixels - samples[..., None] / 257).max() <= 1


def test_16_bit_rgb_png_is_scaled_not_clipped(tmp_path, picture):
    samples = picture.astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    (tmp_path / "cell.png").write_bytes(png(50, 40, depth=16, colour=2, rows=rows))
    np.testing.assert_array_equal(read_image(tmp_path / "cell.png"), picture)


def test_16_bit_rgb_tiff_is_scaled_not_clipped(tmp_path, picture):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "cell.tif", picture.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "cell.tif"), picture)


def test_32_bit_and_floating_samples_are_refused(tmp_path):
    Image.fromarray(np.full((20, 20), 1_000_000, np.int32)).save(tmp_path / "whole.tif")
    assert "8 or 16 bits" in refusal(tmp_path / "whole.tif")
    Image.fromarray(np.full((20, 20), 0.5, np.float32)).save(tmp_path / "float.tif")
    assert "floating point" in refusal(tmp_path / "float.tif")


def test_palette_becomes_its_colours(tmp_path):
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "cell.png")
    np.testing.assert_array_equal(read_image(tmp_path / "cell.png")[3, 3], [10, 200, 30])


def test_transparency_is_laid_on_white(tmp_path, picture):
    alpha = np.full((40, 50, 1), 255, np.uint8)
    alpha[:10] = 0
    alpha[10:20] = 128
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(tmp_path / "cell.png")
    pixels = read_image(tmp_path / "cell.png")
    assert (pixels[:10] == 255).all()
    half = picture[10:20] * (128 / 255) + 255 * (127 / 255)
    np.testing.assert_allclose(pixels[10:20], half, atol=1)
    np.testing.assert_array_equal(pixels[20:], picture[20:])


def test_transparent_gray_and_palette_are_laid_on_white(tmp_path):
    gray = Image.new("LA", (20, 20), (10, 0))
    gray.putpixel((3, 3), (10, 255))
    gray.save(tmp_path / "gray.png")
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([10, 10, 10, 10, 200, 30])
    palette.putpixel((3, 3), 0)
    palette.save(tmp_path / "palette.png", transparency=1)
    palette.save(tmp_path / "bytes.png", transparency=b"\xff\x00")
    for name in ("gray", "palette", "bytes"):
        pixels = read_image(tmp_path / f"{name}.png")
        assert pixels[3, 3].tolist() == [10, 10, 10]
        assert (np.delete(pixels.reshape(400, 3), 63, axis=0) == 255).all()


def test_exif_rotation_is_applied(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    Image.fromarray(picture).save(tmp_path / "cell.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "cell.png"), np.rot90(picture, -1))
    facts = inspect_image(tmp_path / "cell.png")
    assert (facts.height, facts.width) == (50, 40)


def test_first_frame_is_read(tmp_path, picture):
    frames = [Image.fromarray(picture), Image.new("RGB", (50, 40))]
    frames[0].save(tmp_path / "cells.tif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "cells.tif"), picture)


@pytest.mark.parametrize("ending", ["png", "bmp", "jpg", "tif", "webp", "gif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file_is_refused(tmp_path, picture, ending, share):
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    Image.fromarray(picture).save(whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * share)])
    refusal(cut)


def test_damaged_bytes_are_refused(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "cell.png")
    data = bytearray((tmp_path / "cell.png").read_bytes())
    data[60:90] = bytes(30)
    (tmp_path / "cell.png").write_bytes(data)
    assert "damaged or cut short" in refusal(tmp_path / "cell.png")


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "cell.png").touch()
    assert "0 bytes" in refusal(tmp_path / "cell.png")


def test_text_named_png_is_refused(tmp_path):
    (tmp_path / "cell.png").write_text("patient,label\nP1,ALL\n" * 20)
    assert "must be one of BMP" in refusal(tmp_path / "cell.png")


def test_postscript_is_never_run(tmp_path):
    (tmp_path / "cell.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n")
    assert "must be one of BMP" in refusal(tmp_path / "cell.eps")


def test_folder_and_missing_file_are_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    assert "must be a file" in refusal(tmp_path / "folder.png")
    assert "no such file" in refusal(tmp_path / "nowhere.png")


def test_unreadable_file_is_refused(tmp_path, picture, monkeypatch):
    path = tmp_path / "cell.png"
    Image.fromarray(picture).save(path)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)  # root, who runs CI, may read everything
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize("size", [(1, 1), (15, 100), (100, 15)])
def test_image_under_16_px_is_refused(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "cell.png")
    assert f"got {size[0]} × {size[1]}" in refusal(tmp_path / "cell.png")


def test_image_of_16_px_is_read(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "cell.png")
    assert read_image(tmp_path / "cell.png").shape == (16, 16, 3)


@pytest.mark.parametrize("side", [9_000, 20_000])  # Pillow alone warns of one, refuses the other
def test_huge_image_is_refused_by_its_header_without_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, depth=8, colour=0, rows=bytes(1000)))
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"at most {MAX_PIXELS:,} pixels" in message
    assert peak < 5e6


def test_limit_of_pixels_is_a_setting(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "cell.png")
    assert read_image(tmp_path / "cell.png", max_pixels=2000).shape == picture.shape
    assert "at most 1,999 pixels, got 50 × 40" in refusal(tmp_path / "cell.png", max_pixels=1999)


def test_facts_are_those_of_the_picture(tmp_path, picture):
    picture[:20] = 0
    Image.fromarray(picture).save(tmp_path / "cell.png")
    facts = inspect_image(tmp_path / "cell.png")
    assert (facts.height, facts.width, facts.black_fraction) == (40, 50, 0.5)
    expected = hashlib.sha256(b"40x50x3;" + picture.tobytes()).hexdigest()
    assert facts.pixels_sha256 == expected
    assert facts.detail_hash == hash_detail(image_detail(picture))


def test_facts_do_not_depend_on_the_file_format(tmp_path, picture):
    for ending in ("png", "bmp", "tif"):
        Image.fromarray(picture).save(tmp_path / f"cell.{ending}")
    facts = {inspect_image(tmp_path / f"cell.{ending}") for ending in ("png", "bmp", "tif")}
    assert len(facts) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        facts.pop().height = 3


def test_pixel_hash_tells_shapes_apart(tmp_path):
    Image.new("RGB", (20, 40)).save(tmp_path / "tall.png")
    Image.new("RGB", (40, 20)).save(tmp_path / "wide.png")
    hashes = {inspect_image(tmp_path / name).pixels_sha256 for name in ("tall.png", "wide.png")}
    assert len(hashes) == 2


def test_known_duplicate_of_all_idb2_has_the_same_facts(data_dir):
    folder = data_dir / "all-idb2/images"
    first, second = (next(folder.glob(f"Im{n}_0.*")) for n in ("223", "257"))
    assert inspect_image(first) == inspect_image(second)
    assert isinstance(inspect_image(first), ImageFacts)


def test_cells_of_c_nmc_are_mostly_black(data_dir):
    files = sorted((data_dir / "c-nmc/C-NMC_Leukemia/training_data/fold_0").glob("*/*"))
    assert files
    for path in files:
        facts = inspect_image(path)
        assert (facts.height, facts.width) == (450, 450)
        assert 0.5 < facts.black_fraction < 0.98
