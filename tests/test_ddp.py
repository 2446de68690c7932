"""Two processes give the numbers of one, write one run, and end together."""

from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from oadls.data.dataset import CellData, CellDataset, DealtBatches, ViewSampler
from oadls.errors import UserError
from oadls.model.classifier import pool_views
from oadls.ranks import together
from oadls.settings import run_dir
from oadls.training import make_trainer
from tests.ranks import STOPS, TWO, command
from tests.runs import composed, train_in
from tests.whole_batch import (
    WEIGHTS,
    in_two_ranks,
    norm_over,
    of_layers,
    states,
    steps_of_backbone,
    timms_norm,
    weighted_classifier,
    whole_batch,
)

SMALL = (
    "data.patients=9",
    "data.cells_per_patient=5",  # 20 to train, 10 to validate, 15 to test
    "data.window=110",
    "model/head=acrnn_a128",  # the smallest plane
    "model.backbone.size=160",
    "split.val=0.2",
    "split.test=0.35",
    "training.epochs=2",
    "training.views=2",
    "training.test_views=1",
    "training.batch_size=17",  # and one of 3: one rank has 9 and 2 of them, the other 8 and 1
    # in float32 rounding turns a ReLU here and there, and steps of RMSProp make much of it: runs of
    # one device on one and on two threads drift apart too
    "trainer.precision=64-true",
    "floors=false",
    "report=false",
)
CLOSE = 1e-4


# layers


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_two_ranks(of_layers, tmp_path_factory.mktemp("layers"))


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("2d", nn.BatchNorm2d(3), (7, 3, 4, 5)),
        ("1d", nn.BatchNorm1d(6, affine=False), (5, 6)),
        ("act", timms_norm(), (7, 3, 4, 5)),
    ],
)
def test_two_ranks_normalise_as_torch_does_the_whole_batch(
    layers: list, name: str, layer: nn.Module, shape: tuple[int, ...]
) -> None:
    parts = [found[name] for found in layers]
    for key, wanted in norm_over(layer, whole_batch(*shape)).items():
        kind = key.split()[0]
        if kind == "state":  # the same in both
            assert all(torch.allclose(part[key], wanted, rtol=1e-5) for part in parts)
        elif kind == "sum":
            torch.testing.assert_close(sum(p[key] for p in parts), wanted, rtol=1e-4, atol=1e-3)
        else:
            whole = torch.cat([part[key] for part in parts])
            torch.testing.assert_close(whole, wanted, rtol=1e-4, atol=1e-4)


def test_a_backbone_from_scratch_learns_from_two_ranks_as_from_one(layers: list) -> None:
    wanted = steps_of_backbone()
    assert any("running_mean" in name for name in wanted)
    for found in layers:
        assert found["backbone"].keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found["backbone"][name], value, rtol=1e-6, atol=1e-9)


def test_the_gradient_is_that_of_the_whole_batch(layers: list) -> None:
    model = weighted_classifier()
    cells, labels = whole_batch(7, 4), torch.arange(7) % 3
    wanted = F.cross_entropy(
        model.network.classify((cells,)), labels, torch.tensor(WEIGHTS), label_smoothing=0.1
    )
    wanted.backward()
    right = model.network.classify((cells,)).argmax(dim=1) == labels
    for rank in layers:
        torch.testing.assert_close(rank["loss gradient"], model.network.layer.weight.grad)
        assert rank["logged"]["train/loss"] == pytest.approx(wanted.item())
        assert rank["logged"]["train/accuracy"] == pytest.approx(right.float().mean().item())


def test_two_ranks_drop_what_one_would(layers: list) -> None:
    torch.manual_seed(3)
    for turn, whole in enumerate(states()):
        dropped = torch.cat([found["dropout"][turn] for found in layers])
        assert torch.equal(dropped, nn.Dropout(0.4)(whole))


def test_ranks_hear_from_each_other(layers: list) -> None:
    assert [found["place"] for found in layers] == [(0, 7), (3, 7)]
    assert [found["agreed"] for found in layers] == ["rank 0", "rank 0"]
    assert [found["gathered"] for found in layers] == [[[0], [0, 1]]] * 2


# cells


@given(cells=st.integers(1, 60), size=st.integers(1, 20), ranks=st.integers(2, 5))
def test_ranks_share_every_batch_of_one_device(cells: int, size: int, ranks: int) -> None:
    sampler = ViewSampler(np.arange(cells), views=3, weights=None, seed=0)
    if min(cells, size) < ranks:
        with pytest.raises(UserError, match="cannot be dealt to"):
            DealtBatches(sampler, size, rank=0, ranks=ranks)
        return
    whole = list(DealtBatches(sampler, size, rank=0, ranks=1))
    parts = [DealtBatches(sampler, size, rank=r, ranks=ranks) for r in range(ranks)]
    dealt = list(zip(*parts, strict=True))
    assert {len(part) for part in parts} == {len(dealt)}
    assert [[*chain(*batch)] for batch in dealt] == whole[: len(dealt)]
    assert all(part for batch in dealt for part in batch)
    assert all(len(batch) < ranks for batch in whole[len(dealt) :])


def test_a_side_with_fewer_cells_than_devices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oadls.data.dataset.world", lambda: 3)
    data = CellData(
        CellDataset(["a", "b"], np.array([0, 1]), lambda cell: ()),
        np.array(["train", "val"]),
        np.array(["a", "b"]),
        batch_size=4,
        views=1,
        test_views=1,
        balance="none",
        seed=0,
        workers=0,
    )
    with pytest.raises(UserError, match="val: 1 views of cells for 3 devices"):
        data.val_dataloader()


@pytest.mark.parametrize("views", [[(4, 0), (4, 1), (9, 0)], [(4, 0), (9, 0), (4, 0)]])
def test_a_cell_that_is_missing_or_counted_twice_is_an_error(views: list) -> None:
    row, view = torch.tensor(views).T
    seen = {"row": row, "view": view, "label": row, "probability": torch.rand(3, 2)}
    with pytest.raises(RuntimeError, match="missing in a view, or counted twice"):
        pool_views([seen])


# whole trainings


@pytest.fixture(scope="module")
def alone(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in(tmp_path_factory.mktemp("alone"), *SMALL)


def assert_same_results(folder: Path, alone: Path) -> None:
    for table in ("history.csv", "predictions.csv", "folds/fold_0-predictions.csv"):
        found, wanted = pd.read_csv(folder / table), pd.read_csv(alone / table)
        pd.testing.assert_frame_equal(found, wanted, rtol=0, atol=CLOSE)


def test_torchrun_gives_the_numbers_of_one_process_in_one_run(alone: Path, tmp_path: Path) -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = command(
        *torchrun, "-m", "oadls.train", *SMALL, *TWO, "name=run", OADLS_OUTPUT_DIR=str(tmp_path)
    )
    assert done.returncode == 0, done.stdout
    (folder,) = (tmp_path / "run").iterdir()
    assert_same_results(folder, alone)
    assert len(pd.read_csv(folder / "predictions.csv")["path"].unique()) == 15
    assert done.stdout.count("fit 1 of 1") == 1


def test_a_training_ends_with_its_rank_zero_and_goes_on_to_the_same_numbers(
    alone: Path, tmp_path: Path
) -> None:
    training = ("-m", "tests.ranks", *SMALL, *TWO, "name=run")
    home = {"OADLS_OUTPUT_DIR": str(tmp_path)}
    stopped = command(*training, **home, **{STOPS: "1 1"})
    assert stopped.returncode == 143, stopped.stdout
    (folder,) = (tmp_path / "run").iterdir()
    told = [line for line in stopped.stdout.splitlines() if "stopped by SIGTERM" in line]
    assert len(told) == 1
    assert told[0].endswith(f"ckpt_path={folder}")
    assert not (folder / "predictions.csv").exists()
    done = command(*training, f"ckpt_path={folder}", **home)
    assert done.returncode == 0, done.stdout
    assert_same_results(folder, alone)


# what is refused


def test_a_sweep_over_several_devices_is_refused_before_it_starts(tmp_path: Path) -> None:
    done = command(
        "-m", "oadls.train", "-m", "+sweep=rmsprop", *TWO, OADLS_OUTPUT_DIR=str(tmp_path)
    )
    assert done.returncode == 1
    assert "in a multirun each job takes one device, not 2; set trainer.devices=1" in done.stdout
    assert not list(tmp_path.rglob("study.db"))


def test_any_multirun_over_several_devices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed("train", *TWO, "hydra.mode=MULTIRUN", hydra=True)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config.hydra)
    with (
        pytest.raises(UserError, match="each job takes one device, not 2"),
        together(make_trainer(config.trainer, logger=False)),
    ):
        pytest.fail("it was not refused")


def test_processes_for_which_there_is_no_device_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    one = SimpleNamespace(num_devices=1, num_nodes=1)
    with pytest.raises(UserError, match="2 processes were started"), together(one):  # type: ignore[arg-type]
        pytest.fail("they were not refused")


@pytest.mark.parametrize("launcher", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_rank_zero_alone_has_a_folder_among_the_outputs(
    launcher: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place, number = launcher
    monkeypatch.setenv("OADLS_OUTPUT_DIR", str(tmp_path))
    monkeypatch.setenv(number, "2")
    for number_of, inside in (("0", True), ("1", False)):
        monkeypatch.setenv(place, number_of)
        assert (tmp_path in Path(run_dir("run", None)).parents) == inside
