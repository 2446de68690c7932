"""Values that configs ask for by name."""

import pytest
import torch

from oadls.settings import cpu_precision
from tests.runs import composed


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": False}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_a_processor_computes_in_bf16_only_where_it_has_it(
    capabilities: dict, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert cpu_precision() == precision
    assert composed("train", "trainer=cpu").trainer.precision == precision
