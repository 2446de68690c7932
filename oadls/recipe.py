"""What made an array: the steps, their settings and the code that they run, as plain values."""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "scipy", "scikit-image", "opencv-python-headless", "Pillow")


def describe(step: Callable[..., Any] | None) -> dict[str, Any] | None:
    """A function, or functools.partial of one, as {step, settings, code}."""
    if step is None:
        return None
    settings: dict[str, Any] = {}
    if isinstance(step, functools.partial):
        settings, step = dict(step.keywords), step.func
    return {
        "step": f"{step.__module__}.{step.__qualname__}",
        "settings": settings,
        "code": code_hash(step.__module__),
    }


def library_versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """The releases that the numbers depend on."""
    return {name: version(name) for name in names}


@functools.cache
def code_hash(module: str) -> str:
    """Hash of a module's source and of every oadls module that it imports, in turn."""
    digest = hashlib.sha256()
    for name in sorted(_reachable(module)):
        digest.update(_source(name))
    return digest.hexdigest()[:16]


def _reachable(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _own_imports(_source(name))
    return found


def _own_imports(source: bytes) -> list[str]:
    """The oadls modules that a source imports; `from oadls.a import b` may name a module b."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.startswith("oadls.") and _is_module(name)]


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, so this is a name in it
        return False


def _source(module: str) -> bytes:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return b""
    return Path(spec.origin).read_bytes()
