"""What every test may use."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # small tensors: threads cost more than they bring


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images; CI must have it, a laptop may not."""
    setting = os.environ.get("OADLS_DATA_DIR")
    folder = Path(setting) if setting else None
    if folder is not None and (folder / "all-idb2").is_dir():
        return folder
    if os.environ.get("CI"):
        pytest.fail(f"OADLS_DATA_DIR must hold the real images in CI, it is {setting!r}")
    pytest.skip("real images: set OADLS_DATA_DIR to run the tests that need them")
