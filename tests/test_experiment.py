import pytest
import torch

from oadls.experiment import Experiment
from tests.runs import composed


def opened(*overrides):
    """An experiment whose cells nobody looks at."""
    return Experiment(composed("train", *overrides), cells=None, prepared=None)


@pytest.mark.parametrize(
    ("overrides", "found", "device"),
    [
        ((), "cuda", "cpu"),
        (("trainer=gpu",), "cuda", "cuda"),
        (("trainer=gpu",), None, "cpu"),
        (("trainer=ddp",), "mps", "mps"),
    ],
)
def test_features_are_extracted_where_the_trainer_computes(monkeypatch, overrides, found, device):
    accelerator = found and torch.device(found)
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available: accelerator
    )
    assert opened(*overrides).device == device


def test_a_command_without_a_trainer_computes_on_the_cpu():
    assert Experiment(composed("prepare"), cells=None, prepared=None).device == "cpu"
