"""What every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.databases import postgresql
from tests.needs import missing
from tests.parabola import write_app

torch.set_num_threads(1)  # small tensors: threads cost more than they bring


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images; CI must have it, a laptop may not."""
    setting = os.environ.get("OADLS_DATA_DIR")
    folder = Path(setting) if setting else None
    if folder is None or not (folder / "all-idb2").is_dir():
        missing(f"set OADLS_DATA_DIR to the folder of the real images, it is {setting!r}")
    return folder


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """An empty cache for the tests of one file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OADLS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_smears(data_dir: Path):
    """folder -> the first four images of that set."""

    def of(folder: str) -> list[Path]:
        files = sorted(
            path
            for pattern in ("images/*.png", "C-NMC_Leukemia/training_data/fold_0/*/*")
            for path in (data_dir / folder).glob(pattern)
        )[:4]
        assert files
        return files

    return of


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server; whoever uses it sets PGPASSWORD, or puts it into the URL."""
    with postgresql() as url:
        yield url


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a program to sweep and a database in it."""
    monkeypatch.setenv("STORAGE", "sqlite:///study.db")
    write_app(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
