"""Processes that load cells read from the cache that training has opened before them."""

import functools
import pickle
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from oadls.cache import _key, _store
from oadls.data.dataset import CellData, CellDataset
from oadls.errors import UserError
from oadls.experiment import build
from oadls.features import Views, _read_maps
from oadls.pipeline import PreparedCells
from tests.runs import composed
from tests.stored import KEYS, opened, record


def test_workers_that_stay_read_what_training_had_opened(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.write({f"{key} 0": record(key, size=50) for key in KEYS})
    assert cache.read("00 0")
    dataset = CellDataset(KEYS, np.zeros(20, int), functools.partial(_read_maps, cache))
    data = CellData(
        dataset,
        np.array(["test"] * 20),
        np.arange(20),
        batch_size=4,
        views=1,
        test_views=1,
        balance="none",
        seed=0,
        workers=2,
    )
    loader = data.test_dataloader()
    assert loader.persistent_workers
    for _ in range(2):
        found = np.concatenate([batch["inputs"][0].numpy() for batch in loader])
        np.testing.assert_array_equal(found, [record(key, size=50)["0"] for key in KEYS])


def test_a_fault_in_a_worker_is_one_sentence(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.write({"00 0": record("00", size=50)})
    store = _store(cache.path)
    store.change(lambda transaction: transaction.put(_key("00 0"), b"x" * 60))
    dataset = CellDataset(["00"], np.zeros(1, int), functools.partial(_read_maps, cache))
    with pytest.raises(UserError) as here:
        dataset[0, 0]
    with pytest.raises(UserError) as there:
        next(iter(DataLoader(dataset, sampler=[(0, 0)], num_workers=1)))
    assert str(there.value) == str(here.value)
    assert "record 00 0" in str(here.value)


def test_what_reads_is_sent_to_a_process_of_any_kind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OADLS_CACHE_DIR", str(tmp_path))
    config = composed("train")
    prepared = PreparedCells(build(config.pipeline)())
    views = Views(prepared, crop=build(config.crop), augment=build(config.augment))
    image, mask = np.full((90, 80, 3), 200, np.uint8), np.zeros((90, 80), np.uint8)
    image[30:60, 20:50], mask[30:60, 20:50] = 90, 255
    prepared._cache.write({"00000000 picture": {"image": image, "mask": mask}})
    sent = pickle.dumps(views.channels)
    assert len(sent) < 20_000  # no weights, no pictures
    there, here = pickle.loads(sent), views.channels
    for view in (0, 1):
        np.testing.assert_array_equal(there(("00000000", view)), here(("00000000", view)))
    maps = pickle.dumps(functools.partial(_read_maps, prepared._cache))
    assert len(maps) < 20_000
