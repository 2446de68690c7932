"""Values that configs ask for by name."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from oadls.errors import UserError
from oadls.settings import (
    cpu_precision,
    fixed_settings,
    new_folder,
    outputs_folder,
    project_root,
)
from tests.runs import composed


def test_wandb_is_offline_unless_there_is_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert composed("train", "logger=wandb").logger.offline
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password key\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert not composed("train", "logger=wandb").logger.offline
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "key")
    assert not composed("train", "logger=wandb").logger.offline


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


def test_a_row_may_be_renamed_but_not_trained_another_way() -> None:
    row = {"title": "VGG16", "schedule": "64 px", "reduced_epochs": 6}
    kept = fixed_settings({"seed": 0, "trainer": {"devices": 1}, "row": row})
    renamed = {"title": "VGG-16", "schedule": "64 px", "reduced_epochs": 1}
    assert fixed_settings({"seed": 0, "trainer": {"devices": 2}, "row": renamed}) == kept
    assert fixed_settings({"seed": 0, "row": row | {"schedule": "96 px"}}) != kept
    assert fixed_settings({"seed": 0}) == {"seed": 0}


@pytest.mark.parametrize("module", ["prepare", "compare", "sweep.folder", "sweep.sweeper"])
def test_what_needs_no_network_does_not_wait_for_pytorch(module: str) -> None:
    code = f"import sys, oadls.{module}; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


def test_commands_that_start_in_one_second_have_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("oadls.settings.outputs_folder", lambda: tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(new_folder, ["same"] * 40))
    assert len(set(found)) == 40
    assert all(Path(folder).is_dir() for folder in found)
    assert {Path(folder).parent for folder in found} == {tmp_path / "same"}


def test_runs_go_to_the_working_folder_where_the_installation_is_read_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OADLS_OUTPUT_DIR", raising=False)
    assert outputs_folder() == Path(project_root(), "outputs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda place, mode: False)
    assert outputs_folder() == tmp_path / "outputs"
    monkeypatch.setenv("OADLS_OUTPUT_DIR", "runs")
    assert outputs_folder() == tmp_path / "runs"


def test_a_place_where_no_folder_can_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("oadls.settings.outputs_folder", lambda: tmp_path)
    with pytest.raises(UserError, match=r"outputs: .*file.* cannot be made .*hydra.run.dir"):
        new_folder("file")
    with pytest.raises(UserError, match=r"cannot be made"):
        new_folder("file/below")
