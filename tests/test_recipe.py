"""A recipe changes with settings and with code."""

from functools import partial
from pathlib import Path

import pytest

from oadls import recipe
from oadls.cache import fingerprint
from oadls.preprocess.wiener import wiener


def test_a_setting_changes_the_recipe() -> None:
    default = recipe.describe(partial(wiener, mode="spectral"))
    local = recipe.describe(partial(wiener, mode="local"))
    assert default is not None
    assert default["settings"] == {"mode": "spectral"}
    assert fingerprint(default) != fingerprint(local)  # type: ignore[arg-type]
    assert recipe.describe(None) is None


def test_code_of_a_module_includes_what_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "oadls.preprocess.wiener" not in recipe._reachable("oadls.preprocess.equalize")
    reached = recipe._reachable("oadls.pipeline")
    assert {"oadls.preprocess.foreground", "oadls.segment.measure", "oadls.cache"} <= reached
    before = recipe.code_hash("oadls.pipeline")
    original = recipe._source
    monkeypatch.setattr(
        recipe,
        "_source",
        lambda name: original(name) + (b"\n# changed" if name == "oadls.segment.measure" else b""),
    )
    recipe.code_hash.cache_clear()
    assert recipe.code_hash("oadls.pipeline") != before
    recipe.code_hash.cache_clear()


def test_sources_are_those_on_disk() -> None:
    file = Path(recipe.__file__)
    assert recipe._source("oadls.recipe") == file.read_bytes()
