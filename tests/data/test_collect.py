"""The pairs by which groups were joined are kept beside the groups."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oadls.data import collect
from oadls.data.collect import duplicate_pairs, join_duplicates
from oadls.data.duplicates import PAIR_COLUMNS, group_duplicates
from oadls.data.sources.folder import load

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def cells(tmp_path: Path) -> pd.DataFrame:
    """Noise, its copy and a JPEG of it under three patients, and other noise."""
    rng = np.random.default_rng(0)
    first, other = (rng.integers(1, 255, (8, 8, 3)).astype(np.uint8) for _ in range(2))
    for name, small in {"a.png": first, "b.png": first, "c.jpg": first, "d.png": other}.items():
        Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / name)
    names = ["a.png", "b.png", "c.jpg", "d.png"]
    rows = pd.DataFrame({"path": names, "label": "all", "patient": list("ABCD")})
    rows.to_csv(tmp_path / "cells.csv", index=False)
    source = lambda: load(root=tmp_path, table=tmp_path / "cells.csv")  # noqa: E731
    return collect.collect(source, max_bad=0).table


def test_pairs_are_those_of_the_search_and_are_searched_for_once(
    cells: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cells["group"].tolist() == ["A+B+C"] * 3 + ["D"]
    joined, pairs = group_duplicates(cells)
    monkeypatch.setattr(collect, "group_duplicates", None)  # whoever searches again fails
    kept = duplicate_pairs(cells)
    assert list(kept.columns) == list(PAIR_COLUMNS)
    assert kept["kind"].tolist() == ["identical", "near"]
    pd.testing.assert_frame_equal(kept, pairs, check_dtype=False)
    assert join_duplicates(cells)["group"].tolist() == joined["group"].tolist()


def test_a_label_that_was_changed_since_is_seen(cells: pd.DataFrame) -> None:
    assert duplicate_pairs(cells)["same_label"].all()
    changed = cells.assign(label=["all", "normal", "all", "all"])
    assert duplicate_pairs(changed)["same_label"].tolist() == [False, True]


def test_a_source_that_knows_its_content_has_no_image_opened(
    cells: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "inspect_all", None)
    listed = cells.drop(columns=["detail_hash", "height", "width", "black_fraction"])
    empty = pd.DataFrame(columns=["path", "reason"])
    found = collect.collect(lambda: collect.Cells(listed, empty), max_bad=0).table
    assert found["group"].tolist() == ["A+B", "A+B", "C", "D"]
