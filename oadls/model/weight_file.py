"""A local file of weights, however its authors wrapped them."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor

from oadls.errors import UserError
from oadls.torch_file import check_whole

WRAPPERS = ("teacher", "model", "state_dict")  # of DINOv2's trainings, and of most others


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a .safetensors or .pth file under the keys that its network gave them.

    What DINOv2's trainings leave, such as DinoBloom (Koch et al. 2024), is the teacher's backbone
    beside the heads of its self-supervision, which are left behind.

    raises UserError for a file that is missing or holds anything but tensors
    """
    if not path.is_file():
        raise UserError(
            "backbone: weights must be package, hub, random or the path of a file, "
            f"there is no file {str(path)!r}"
        )
    weights = _unwrapped(_load(path))
    if not (weights and all(isinstance(value, Tensor) for value in weights.values())):
        raise UserError(f"backbone: {path} must hold tensors by name, it holds {_kinds(weights)}")
    backbone = {
        key.removeprefix("backbone."): value
        for key, value in weights.items()
        if key.startswith("backbone.")
    }
    return backbone or weights


def _load(path: Path) -> Any:
    """Unpickles tensors and plain values only: anything else could run code."""
    if zipfile.is_zipfile(path):
        check_whole(path, what="backbone: weights")
    try:
        return load_state_dict(str(path), weights_only=True)
    except AttributeError as error:  # what timm looks for keys in is no dictionary
        raise UserError(f"backbone: {path} must hold tensors by name") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        if isinstance(error.__cause__, pickle.UnpicklingError):
            raise UserError(
                f"backbone: {path} is not a file of weights alone, and nothing else is unpickled, "
                "since it could run code. If you trust it, save its tensors again: "
                f"torch.save(model.state_dict(), file). {error.__cause__}"
            ) from error
        raise UserError(f"backbone: {path} is not a file of weights: {error}") from error


def _unwrapped(found: Any) -> dict[str, Any]:
    for wrapper in WRAPPERS:
        if isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    return dict(found)


def _kinds(weights: Mapping[str, Any]) -> str:
    kinds = sorted({type(value).__name__ for value in weights.values()})
    return ", ".join(kinds) or "nothing"
