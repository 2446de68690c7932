from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from oadls.data import duplicates
from oadls.data.detail import image_detail
from oadls.data.duplicates import group_duplicates, similarity
from oadls.data.read import inspect_image
from oadls.data.sources import all_idb2, c_nmc, wbc_jtsc
from tests.oracles.duplicates import best_correlation, close_pairs, groups


def table_of(names, *, patients=None, digests=None, hashes=None, label="all"):
    """A table whose images are equal where the digests are, and far apart else."""
    rng = np.random.default_rng(0)
    count = len(names)
    return pd.DataFrame(
        {
            "path": names,
            "name": names,
            "label": label,
            "patient": patients or [None] * count,
            "pixels_sha256": digests or [str(i) for i in range(count)],
            "detail_hash": hashes or [rng.bytes(32).hex() for _ in range(count)],
        },
        dtype=object,
    )


def with_facts(table):
    facts = [asdict(inspect_image(Path(path))) for path in table["path"]]
    return pd.concat([table.reset_index(drop=True), pd.DataFrame(facts)], axis=1)


def picture(seed, *, side=200):
    """(side, side, 3) uint8 of smooth random structure."""
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 40 * smooth / smooth.std(), 1, 255).astype(np.uint8)


def no_reading(path):
    raise AssertionError(f"{path} was read")


def test_patients_that_share_an_image_are_one_group():
    table = table_of(
        ["a", "b", "c", "d", "e"],
        patients=["51", "51", "78", "75", "30"],
        digests=["x", "y", "x", "y", "z"],
    )
    result, pairs = group_duplicates(table, read=no_reading)
    assert result["group"].tolist() == ["51+75+78"] * 4 + ["30"]
    assert pairs["kind"].tolist() == ["identical", "identical"]


def test_cells_without_patient_are_joined_by_name():
    table = table_of(["a", "b", "c"], digests=["x", "y", "x"])
    assert group_duplicates(table)[0]["group"].tolist() == ["a+c", "b", "a+c"]


def test_a_cell_without_patient_joins_the_patient_of_its_copy():
    table = table_of(["a", "b"], patients=["P", None], digests=["x", "x"])
    assert group_duplicates(table)[0]["group"].tolist() == ["P", "P"]


def test_a_large_group_has_a_short_and_unique_name():
    table = table_of([f"cell{i:02d}" for i in range(20)], digests=["x", "y"] * 10)
    group = group_duplicates(table)[0]["group"]
    assert group.nunique() == 2
    assert group[0] == "cell00+cell02+cell04+cell06+cell08+5 more"


def test_one_cell_with_two_labels_is_reported(caplog):
    table = table_of(["a", "b"], digests=["x", "x"], label=["all", "normal"])
    _, pairs = group_duplicates(table)
    assert not pairs["same_label"].any()
    assert "a and b are one cell with two labels" in caplog.text


def test_an_unknown_label_contradicts_nothing():
    table = table_of(["a", "b"], digests=["x", "x"], label=["all", None])
    assert group_duplicates(table)[1]["same_label"].all()


@given(
    cells=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 25)), min_size=1, max_size=40),
    seed=st.integers(0, 9),
)
@settings(max_examples=15, deadline=None)
def test_groups_are_the_transitive_closure_in_any_order_of_rows(cells, seed):
    patients, digests = (list(map(str, column)) for column in zip(*cells, strict=True))
    names = [f"{i:03d}" for i in range(len(cells))]
    table = table_of(names, patients=patients, digests=digests)
    result, _ = group_duplicates(table.sample(frac=1, random_state=seed), max_distance=0)
    found = {frozenset(members) for _, members in result.groupby("group")["patient"]}
    assert found == groups(patients, digests)


def codes(seed, *, families, members=3, flipped=0.2):
    """Random hashes, each as several copies in which up to that share of the bits is flipped."""
    rng = np.random.default_rng(seed)
    bits = np.repeat(rng.integers(0, 2, (families, 256)), members, axis=0)
    flip = rng.random(bits.shape) < rng.uniform(0, flipped, (len(bits), 1))
    return [np.packbits(row).tobytes().hex() for row in bits ^ flip]


@pytest.mark.parametrize("seed", range(3))
def test_sorting_finds_the_pairs_that_comparing_all_finds_closest_first(seed, monkeypatch):
    hashes = codes(seed, families=130)
    owners = np.random.default_rng(seed).integers(0, 100, len(hashes))
    monkeypatch.setattr(duplicates, "BLOCK", 50)  # several blocks, with a rest
    pairs = duplicates._candidates(pd.Series(hashes), owners, max_distance=64)
    wanted = close_pairs(hashes, owners, 64)
    assert set(pairs) == wanted
    assert len(wanted) > 300
    assert pairs == sorted(pairs, key=lambda pair: (pair[2], pair[0], pair[1]))


def test_candidates_do_not_depend_on_the_size_of_a_block(monkeypatch):
    hashes = pd.Series(["0" * 64] * 50 + codes(0, families=100, members=2))
    whole = duplicates._candidates(hashes, np.arange(250), max_distance=64)
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert duplicates._candidates(hashes, np.arange(250), max_distance=64) == whole


def test_near_pairs_do_not_depend_on_the_order_of_rows():
    hashes = codes(4, families=30, members=4, flipped=0.1)
    table = table_of([f"{i:03d}" for i in range(120)], hashes=hashes)

    def read(path):  # two cells of each family are one cell
        return picture(int(path.name) // 2)

    result, pairs = group_duplicates(table, read=read)
    assert (pairs["kind"] == "near").sum() == 60
    mixed, again = group_duplicates(table.sample(frac=1, random_state=0), read=read)
    pd.testing.assert_frame_equal(again, pairs)
    pd.testing.assert_frame_equal(mixed.sort_index(), result)


def test_candidates_of_cells_that_all_look_alike_are_bounded():
    count = 400  # 79,800 pairs
    pairs = duplicates._candidates(pd.Series(["0" * 64] * count), np.arange(count), max_distance=64)
    assert count - 1 <= len(pairs) <= count * duplicates.NEIGHBOURS


def test_similarity_is_the_best_correlation_over_all_shifts():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(32, 32))
    b = np.roll(a, (5, -3), axis=(0, 1)) + rng.normal(size=(32, 32))
    spectra = [np.fft.rfft2(x / np.linalg.norm(x)) for x in (a, b)]  # (32, 17)
    assert similarity(*spectra) == pytest.approx(best_correlation(a, b), abs=1e-6)


def test_a_shifted_darker_noisier_copy_is_similar_and_another_picture_is_not():
    whole = picture(0, side=230)
    copy = whole[14:214, 8:208] * 0.6 + np.random.default_rng(1).normal(0, 3, (200, 200, 3))
    a, b, other = whole[:200, :200], np.clip(copy, 0, 255).astype(np.uint8), picture(1)
    assert similarity(image_detail(a), image_detail(b)) > 0.75
    assert similarity(image_detail(a), image_detail(other)) < 0.3


def test_flat_images_are_similar_to_nothing():
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert similarity(image_detail(flat), image_detail(flat)) == pytest.approx(0, abs=1e-3)
    assert not image_detail(np.zeros((40, 40, 3), np.uint8)).any()


def test_a_recompressed_copy_is_found_on_disk(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    Image.fromarray(picture(0)).save(tmp_path / "b.jpg", quality=80)
    Image.fromarray(picture(1)).save(tmp_path / "c.png")
    table = table_of([str(tmp_path / name) for name in ("a.png", "b.jpg", "c.png")])
    table = with_facts(table.drop(columns=["pixels_sha256", "detail_hash"]))
    result, pairs = group_duplicates(table)
    assert result["group"].nunique() == 2
    assert pairs["kind"].tolist() == ["near"]


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_shifted_by_some_pixels_is_found_on_disk(tmp_path, seed):
    whole, other = picture(seed, side=180), picture(seed + 10, side=160)
    images = {"a": whole[10:170, 10:170], "b": whole[14:174, 7:167], "c": other}
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    table = table_of([str(tmp_path / f"{name}.png") for name in images])
    table = with_facts(table.drop(columns=["pixels_sha256", "detail_hash"]))
    (pair,) = group_duplicates(table)[1].itertuples()
    assert [Path(name).stem for name in (pair.name_a, pair.name_b)] == ["a", "b"]


def cells_named(cells, wanted):
    """The rows whose file is called so."""
    return cells.table[cells.table["path"].map(lambda path: Path(path).stem).isin(wanted)]


def test_all_idb2_has_one_identical_and_eleven_near_pairs(data_dir):
    twins = [(28, 31, 1), (25, 31, 1), (138, 146, 0), (134, 245, 0), (171, 211, 0), (222, 256, 0)]
    twins += [(227, 260, 0), (225, 259, 0), (135, 244, 0), (170, 209, 0), (224, 258, 0)]
    names = {f"Im{n:03d}_{k}" for a, b, k in [*twins, (223, 257, 0)] for n in (a, b)}
    # the nearest pairs that are two cells, by hash and by similarity
    others = {"Im151_0", "Im076_1", "Im128_1", "Im107_1", "Im126_1", "Im105_1"}
    others |= {"Im140_0", "Im163_0", "Im183_0", "Im184_0"}
    table = with_facts(cells_named(all_idb2.load(root=data_dir / "all-idb2"), names | others))
    result, pairs = group_duplicates(table)
    assert len(pairs) == 12
    assert pairs["same_label"].all()
    assert pairs[pairs["kind"] == "identical"]["name_b"].tolist() == ["Im257_0"]
    group = result.set_index("name")["group"]
    for a, b, k in twins:
        assert group[f"Im{a:03d}_{k}"] == group[f"Im{b:03d}_{k}"]
    assert all(group[name] == name for name in others)


def test_wbc_jtsc_has_one_identical_and_three_near_pairs(data_dir):
    twins = ["112", "139", "166", "171", "167", "169", "157", "158"]
    others = ["066", "290", "036", "212", "041", "287", "288", "093", "197", "100", "108"]
    table = with_facts(cells_named(wbc_jtsc.load(root=data_dir / "wbc-jtsc"), twins + others))
    group = set(group_duplicates(table)[0]["group"])
    assert {g for g in group if "+" in g} == {"112+139", "157+158", "166+171", "167+169"}


def test_c_nmc_joins_78_with_51_and_h3_with_h10_and_nobody_else(data_dir):
    cells = c_nmc.load(root=data_dir / "c-nmc")
    few = cells.table["part"] == "fold_2"
    wanted = {"UID_51_44_8_all", "UID_H10_1_1_hem", "UID_H10_5_1_hem", "UID_H10_6_1_hem"}
    # different patients' cells whose hashes differ in 59 to 65 of 256 bits only
    wanted |= {"UID_16_17_1_all", "UID_H22_26_2_hem", "UID_H10_65_2_hem", "UID_23_34_1_all"}
    wanted |= {"UID_32_3_1_all", "UID_16_17_2_all", "UID_H22_23_5_hem", "UID_23_15_3_all"}
    wanted |= {"UID_34_10_9_all", "UID_H10_86_3_hem", "UID_51_85_2_all", "UID_H10_112_2_hem"}
    table = pd.concat([cells.table[few], cells_named(cells, wanted)])
    result, _ = group_duplicates(with_facts(table))
    joined = {g for g in result["group"] if "+" in g}
    assert joined == {"51+78", "H10+H3"}
