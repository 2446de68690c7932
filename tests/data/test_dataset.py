"""The order of cells depends on seed and epoch alone, and balance does what it says."""

import numpy as np
import pytest

from oadls.data.dataset import CellData, CellDataset, ViewSampler, sampling_weights


def reader(cell: tuple[str, int]) -> tuple[np.ndarray, ...]:
    key, view = cell
    return (np.array([int(key), view], dtype=np.float32),)


def cell_data(**settings: object) -> CellData:
    labels = np.array([0, 1] * 10)
    sides = np.array(["train"] * 12 + ["val"] * 4 + ["test"] * 4)
    defaults = {
        "batch_size": 5,
        "views": 3,
        "test_views": 2,
        "balance": "none",
        "seed": 1,
        "workers": 0,
    }
    dataset = CellDataset([str(i) for i in range(20)], labels, reader)
    return CellData(dataset, sides, np.arange(20), **(defaults | settings))  # type: ignore[arg-type]


def drawn(data: CellData, epoch: int = 0) -> list[tuple[float, float]]:
    loader = data.train_dataloader()
    loader.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
    return [tuple(pair) for batch in loader for pair in batch["inputs"][0].tolist()]


def test_an_epoch_holds_every_training_cell_once_in_a_random_view() -> None:
    cells = drawn(cell_data())
    assert sorted(key for key, _ in cells) == list(range(12))
    assert {view for _, view in cells} == {0, 1, 2}


def test_no_batch_holds_a_single_cell() -> None:
    sizes = [len(batch["row"]) for batch in cell_data(batch_size=11).train_dataloader()]
    assert sizes == [11]  # of 12 training cells; which one is left out changes with the epoch
    assert [len(b["row"]) for b in cell_data(batch_size=5).train_dataloader()] == [5, 5, 2]


def test_the_order_repeats_with_seed_and_epoch_whatever_the_workers() -> None:
    assert drawn(cell_data(), epoch=3) == drawn(cell_data(workers=2), epoch=3)
    assert drawn(cell_data(), epoch=3) != drawn(cell_data(), epoch=4)
    assert drawn(cell_data(seed=1)) != drawn(cell_data(seed=2))


def test_a_test_cell_comes_in_every_test_view() -> None:
    batches = list(cell_data().test_dataloader())
    pairs = [tuple(pair) for batch in batches for pair in batch["inputs"][0].tolist()]
    assert pairs == [(row, view) for row in range(16, 20) for view in range(2)]


def test_every_cell_that_a_loader_can_ask_for_is_announced() -> None:
    data = cell_data(test_views=4)
    announced = set(data.cells())
    assert {(str(row), view) for row in range(12) for view in range(4)} <= announced
    assert {(str(row), view) for row in range(12, 20) for view in range(4)} <= announced


def test_balanced_sampling_draws_classes_and_patients_equally() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    groups = np.array(["a"] * 80 + ["b"] * 10 + ["c"] * 10)
    assert sampling_weights(labels, groups, "none") is None
    by_class = sampling_weights(labels, groups, "class")
    assert by_class is not None
    assert np.isclose(by_class[:90].sum(), by_class[90:].sum())
    by_patient = sampling_weights(labels, groups, "patient")
    assert by_patient is not None
    share = by_patient / by_patient.sum()
    np.testing.assert_allclose(
        [share[groups == name].sum() for name in "abc"], [0.25, 0.25, 0.5], rtol=1e-12
    )
    sampler = ViewSampler(np.arange(100), views=1, weights=by_patient, seed=0)
    counts = np.bincount(
        [row for epoch in range(50) for row, _ in _epoch(sampler, epoch)], minlength=100
    )
    assert counts[groups == "c"].sum() / counts.sum() == pytest.approx(0.5, abs=0.03)


def _epoch(sampler: ViewSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)
