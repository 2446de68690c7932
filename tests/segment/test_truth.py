"""A mask is read in any codes that are named, and never scored by codes that nobody named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from oadls.errors import UserError
from oadls.segment.truth import read_codes, read_mask, read_values, warn_of_absent

TRUTH = np.repeat(np.array([[0, 128, 255, 128], [0, 0, 255, 0], [0] * 4], np.uint8), 6, axis=0)
DEFAULT = read_codes(None)


def saved(folder: Path, values: np.ndarray, mode: str = "L") -> Path:
    """A mask file of 8 or 16 bits, of a palette, or with its values in all channels."""
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16))
    else:
        image = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [7, 8, 9] * 253)
    elif mode in ("RGB", "RGBA", "LA"):
        image = image.convert(mode)
    image.save(folder / "mask.png")
    return folder / "mask.png"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(1, 255), min_size=2, max_size=2, unique=True),
    st.sampled_from(["L", "P", "RGB", "RGBA", "LA", "I;16"]),
    st.sampled_from(["code: name", "code: ours", "name: code", "name: codes"]),
)
def test_any_two_codes_in_any_kind_of_file_give_the_same_mask(
    tmp_path: Path, codes: list[int], mode: str, way: str
) -> None:
    cytoplasm, nucleus = codes
    values = np.select([TRUTH == 128, TRUTH == 255], codes, 0)
    ways: dict[str, dict] = {
        "code: name": {cytoplasm: "cytoplasm", nucleus: "nucleus"},
        "code: ours": {0: 0, cytoplasm: 128, nucleus: 255},
        "name: code": {"cytoplasm": cytoplasm, "nucleus": nucleus},
        "name: codes": {"nucleus": [nucleus], "cytoplasm": [cytoplasm], "background": 0},
    }
    read = read_codes(ways[way])
    mask = read_mask(saved(tmp_path, values, mode), codes=read, shape=TRUTH.shape)
    assert np.array_equal(mask, TRUTH)
    assert read.scored == ["nucleus", "cell"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (TRUTH // 127, r'codes 0, 1, 2, .*data\.mask_codes="\{1: cytoplasm, 2: nucleus\}"'),
        (TRUTH // 255, r'codes 0, 1, .*data\.mask_codes="\{1: nucleus\}", or cell'),
        (np.where(TRUTH, TRUTH - 1, 0), "codes 0, 127, 254, of which 127 is none of 0 background"),
        (np.arange(72).reshape(18, 4), r"codes 0, 1, 2, 3, 4, 5, 6, 7, … \(72\).*without loss"),
    ],
)
def test_codes_that_nobody_named_are_told(tmp_path: Path, values: np.ndarray, told: str) -> None:
    with pytest.raises(UserError, match=rf"mask: .*mask\.png holds the {told}"):
        read_mask(saved(tmp_path, values), codes=DEFAULT, shape=TRUTH.shape)


def test_another_size_is_told_with_both(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mask\.png .* its image, 4 × 18 px, not 2 × 9 px"):
        read_mask(saved(tmp_path, TRUTH[::2, ::2]), codes=DEFAULT, shape=TRUTH.shape)


def test_a_whole_cell_has_no_nucleus_to_score(tmp_path: Path) -> None:
    codes = read_codes({255: "cell"})
    cell = np.where(TRUTH, 255, 0)
    mask = read_mask(saved(tmp_path, cell), codes=codes, shape=TRUTH.shape)
    assert np.array_equal(mask >= 128, TRUTH >= 128)
    assert codes.scored == ["cell"]
    assert read_codes({7: "nucleus"}).scored == ["nucleus"]


def test_black_and_white_masks_are_0_and_255(tmp_path: Path) -> None:
    Image.fromarray(TRUTH == 255).save(tmp_path / "mask.png")
    assert np.array_equal(read_values(tmp_path / "mask.png"), np.where(TRUTH == 255, 255, 0))


def test_masks_of_one_region_alone_are_pointed_out(caplog) -> None:
    warn_of_absent({0, 128, 255}, DEFAULT)
    warn_of_absent({0, 255}, read_codes({255: "nucleus"}))
    assert not caplog.text
    warn_of_absent({0, 255}, DEFAULT)
    assert "codes 0, 255 were seen, which count as nucleus alone" in caplog.text


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (5, "is a mapping"),
        ([1, 2], "is a mapping"),
        ({1: "foo"}, "background, cytoplasm, nucleus, cell .*not foo"),
        ({"one": "nucleus"}, "a code is a whole number, not one"),
        ({1: "cell", 2: "nucleus"}, "nucleus, cytoplasm or both, or the cell alone"),
        ({1: "background"}, "nucleus, cytoplasm or both, or the cell alone"),
        ({"nucleus": [1, 2], "cytoplasm": 2}, "code 2 is nucleus and cytoplasm"),
    ],
)
def test_codes_that_make_no_sense_are_refused(setting: object, message: str) -> None:
    with pytest.raises(UserError, match=rf"data\.mask_codes.*{message}"):
        read_codes(setting)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is not there"), (b"", "not a readable"), (b"x" * 99, "readable")],
)
def test_what_is_no_mask_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"mask: .*mask\.png .*{message}"):
        read_values(tmp_path / "mask.png")


def test_colours_are_no_codes(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[0, 0] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match="its pixels are of several colours"):
        read_values(tmp_path / "mask.png")
