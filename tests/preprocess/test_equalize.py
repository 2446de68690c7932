import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import exposure
from skimage.color import hsv2rgb, rgb2hsv

from oadls.errors import UserError
from oadls.preprocess.equalize import (
    brightness,
    clahe,
    dynamic_table,
    equalize,
    match_mean,
    segment_ranges,
    split_at_minima,
    split_undominated,
)
from oadls.preprocess.foreground import find_foreground
from tests.oracles.equalize import dynamic_levels


def histogram_of(**counts):
    histogram = np.zeros(256, dtype=int)
    for level, count in counts.items():
        histogram[int(level[1:])] = count
    return histogram


def colours(seed=0, shape=(40, 50)):
    return np.random.default_rng(seed).random((*shape, 3)).astype(np.float32)


def gray(levels):
    return np.repeat(np.asarray(levels)[..., None] / np.float32(255), 3, axis=-1).astype(np.float32)


def dense(seed):
    return np.random.default_rng(seed).integers(0, 30, 256).tolist()


def sparse(counts):
    return [counts.get(level, 0) for level in range(256)]


histograms = st.one_of(
    st.integers(0, 2**31).map(dense),
    st.dictionaries(st.integers(0, 255), st.integers(1, 100_000), min_size=2, max_size=25).map(
        sparse
    ),
)
exponents = st.floats(0, 5)


@settings(max_examples=40, deadline=None)
@given(counts=histograms, exponent=exponents)
def test_table_is_monotone_and_ends_at_255(counts, exponent):
    table = dynamic_table(np.array(counts), exponent=exponent)
    assert (np.diff(table) >= 0).all()
    assert table.min() >= 0
    assert table[max(np.flatnonzero(counts))] == table[255] == 255


@settings(max_examples=40, deadline=None)
@given(counts=histograms, exponent=exponents)
def test_table_equals_the_loop_over_levels(counts, exponent):
    table = dynamic_table(np.array(counts), exponent=exponent)
    for level, expected in dynamic_levels(counts, exponent).items():
        assert abs(table[level] - expected) <= 0.5 + 1e-6, level  # the table is rounded


@settings(max_examples=40, deadline=None)
@given(counts=histograms, exponent=exponents)
def test_segments_tile_the_occupied_levels_and_their_ranges_sum_to_255(counts, exponent):
    histogram = np.array(counts)
    segments = [
        part
        for low, high in split_at_minima(histogram)
        for part in split_undominated(histogram, low, high)
    ]
    first, *_, last = np.flatnonzero(histogram)
    covered = [level for low, high in segments for level in range(low, high + 1)]
    assert covered == list(range(first, last + 1))
    ranges = segment_ranges(histogram, segments, exponent=exponent)
    assert (ranges >= 0).all()
    assert ranges.sum() == pytest.approx(255)


def test_two_levels_become_152_and_255():
    table = dynamic_table(histogram_of(_10=900, _200=100), exponent=1.0)
    assert (table[10], table[200]) == (152, 255)


def test_two_levels_of_equal_count_share_the_range_by_half():
    table = dynamic_table(histogram_of(_10=5, _200=5), exponent=1.0)
    assert table[10] in (127, 128)  # 127.5
    assert table[200] == 255


@pytest.mark.parametrize("exponent", [0.0, 1.0, 5.0])
def test_one_segment_is_plain_equalization_of_its_range(exponent):
    histogram = np.zeros(256, dtype=int)
    histogram[60:101] = 2 ** np.minimum(np.arange(41), np.arange(41)[::-1])  # one steep hill
    segments = split_at_minima(histogram)
    assert segments == [(60, 100)]
    assert split_undominated(histogram, 60, 100) == segments
    pixels = np.repeat(np.arange(256), histogram).astype(np.uint8)
    cumulative, centres = exposure.cumulative_distribution(pixels)
    assert (centres[0], centres[-1]) == (60, 100)
    table = dynamic_table(histogram, exponent=exponent)
    np.testing.assert_array_equal(table[60:101], np.rint(255 * cumulative))


def test_cut_falls_on_the_middle_of_a_flat_valley():
    assert split_at_minima(histogram_of(_10=5, _200=5)) == [(10, 105), (106, 200)]


def test_dominating_peak_is_split_off():
    histogram = np.full(101, 1).tolist() + [0] * 155
    histogram = np.array(histogram)
    histogram[50] = 5
    parts = split_undominated(histogram, 0, 100)
    assert len(parts) > 1
    assert parts[0][0] == 0
    assert parts[-1][1] == 100


def test_larger_exponent_gives_the_crowded_segment_more_range():
    histogram = histogram_of(_10=900, _200=100)
    shares = [dynamic_table(histogram, exponent=x)[10] for x in (0.0, 1.0, 5.0)]
    assert shares[0] in (127, 128)
    assert shares == sorted(shares)
    assert shares[2] > 200


def test_rgb_scaling_equals_the_round_trip_through_hsv():
    image = colours()
    image[0, :5] = 0.0  # black: no hue, no saturation
    image[0, 5] = [1, 0, 0]
    hsv = rgb2hsv(image.astype(np.float64))
    level = np.rint(hsv[..., 2] * 255).astype(int)
    table = dynamic_table(np.bincount(level.ravel(), minlength=256), exponent=1.0)
    hsv[..., 2] = table[level] / 255
    np.testing.assert_allclose(equalize(image), hsv2rgb(hsv), atol=1e-6)


@pytest.mark.parametrize("step", [equalize, clahe])
def test_hue_and_saturation_stay(step):
    image = colours(1) * 0.5 + 0.2
    result = step(image)
    seen = brightness(result) > 0.05  # black has neither hue nor saturation
    assert seen.mean() > 0.9
    before, after = rgb2hsv(image)[seen], rgb2hsv(result)[seen]
    turn = np.abs(before[..., 0] - after[..., 0])
    assert np.minimum(turn, 1 - turn).max() < 1e-3
    np.testing.assert_allclose(before[..., 1], after[..., 1], atol=1e-5)


@pytest.mark.parametrize("step", [equalize, clahe])
@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (0.3, 0.5, 0.4), (1.0, 1.0, 1.0)])
def test_constant_image_is_unchanged(step, colour):
    image = np.full((20, 24, 3), colour, dtype=np.float32)
    np.testing.assert_array_equal(step(image), image)


@pytest.mark.parametrize("step", [equalize, clahe])
def test_surround_stays_black_and_takes_no_part(step):
    image = colours(2, (40, 40)) * 0.4 + 0.3
    foreground = np.zeros((40, 40), dtype=bool)
    foreground[5:35, 8:30] = True
    image[~foreground] = 0
    result = step(image, foreground=foreground)
    assert not result[~foreground].any()
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert brightness(result)[foreground].std() > brightness(image)[foreground].std()
    alone = equalize(np.ascontiguousarray(image[5:35, 8:30]))
    if step is equalize:
        np.testing.assert_array_equal(result[5:35, 8:30], alone)


@pytest.mark.parametrize("step", [equalize, clahe])
def test_image_without_any_foreground_is_unchanged(step):
    image = colours(3)
    np.testing.assert_array_equal(step(image, foreground=np.zeros((40, 50), bool)), image)


@settings(max_examples=40, deadline=None)
@given(counts=histograms)
def test_mean_brightness_is_kept_on_request(counts):
    histogram = np.array(counts)
    levels = np.arange(256)
    table = match_mean(dynamic_table(histogram, exponent=1.0), histogram)
    assert (np.diff(table) >= 0).all()
    assert 0 <= table.min() <= table.max() <= 255 + 1e-9
    wanted = (levels * histogram).sum() / histogram.sum()
    reached = (table * histogram).sum() / histogram.sum()
    assert reached == pytest.approx(wanted)


def test_kept_brightness_of_an_image_is_its_own():
    image = colours(4) * 0.3 + 0.5
    kept = equalize(image, keep_brightness=True)
    assert brightness(kept).mean() == pytest.approx(brightness(image).mean(), abs=2e-3)
    assert brightness(equalize(image)).mean() < brightness(image).mean() - 0.05


def test_clahe_equals_skimage_on_brightness():
    image = colours(5)
    expected = exposure.equalize_adapthist(brightness(image), kernel_size=[5, 6], clip_limit=0.02)
    result = clahe(image, clip_limit=0.02, tiles=8)
    np.testing.assert_allclose(brightness(result), expected, atol=1e-6)


@pytest.mark.parametrize("folder", ["all-idb2", "wbc-jtsc", "c-nmc"])
def test_real_smears_keep_their_order_of_brightness(real_smears, folder):
    for path in real_smears(folder):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        foreground = find_foreground(pixels)
        image = pixels / np.float32(255)
        result = equalize(image, foreground=foreground)
        before, after = pixels.max(axis=2)[foreground], brightness(result)[foreground]
        order = np.argsort(before, kind="stable")
        assert (np.diff(after[order]) >= -1e-6).all()
        assert after.max() == pytest.approx(1.0)
        assert not result[~foreground].any()


def test_wrong_settings_are_named():
    for exponent in (-0.1, 5.1, float("nan")):
        with pytest.raises(UserError, match="exponent"):
            equalize(colours(), exponent=exponent)
    with pytest.raises(UserError, match="clip_limit"):
        clahe(colours(), clip_limit=2.0)
    with pytest.raises(UserError, match="tiles"):
        clahe(colours(), tiles=0)


@pytest.mark.parametrize("step", [equalize, clahe])
def test_wrong_arrays_are_refused(step):
    with pytest.raises(ValueError, match="uint8"):
        step(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ValueError, match="foreground"):
        step(colours(), foreground=np.ones((3, 3), bool))


@pytest.mark.parametrize("step", [equalize, clahe])
def test_input_is_left_alone(step):
    image = colours(6)
    before = image.copy()
    step(image)
    np.testing.assert_array_equal(image, before)
