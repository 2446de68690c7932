"""Feature maps of the frozen EfficientNetV2-M, against timm as it comes."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from oadls.model.backbone import Backbone
from oadls.model.engine import Trunk, with_onnxruntime
from oadls.model.weights import create
from scripts.bench.pictures import cell_pictures
from scripts.bench.table import Row, alternate, ratio
from scripts.bench.weights import NAME, SIZE, sensible_weights

BATCH = 8
SIDE = 4096  # of the matrices whose product tells the machine's rate


def measure(*, repeats: int = 5) -> list[Row]:
    """Speed against timm, and the share of the machine's arithmetic that is used."""
    pictures = cell_pictures("all_idb2", number=BATCH + 4, size=SIZE)  # (B, 3, S, S) uint8
    images = normalise(pictures)
    with tempfile.TemporaryDirectory() as folder:
        weights = sensible_weights(Path(folder), images[BATCH:])
        eager = timm.create_model(NAME, num_classes=0, checkpoint_path=str(weights)).eval()
        ours = with_onnxruntime(Backbone(name=NAME, weights=str(weights), size=SIZE))
    pictures, images = pictures[:BATCH].permute(0, 2, 3, 1).numpy(), images[:BATCH]
    matrix = torch.randn(SIDE, SIDE)
    with torch.inference_mode():
        checks = same_features(eager, ours, pictures, images)
        timings = alternate(
            {
                "ours": partial(ours, pictures),
                "timm": partial(eager.forward_features, images),
                "matmul": partial(torch.mm, matrix, matrix),
            },
            repeats=repeats,
        )
    operations = count_operations(eager, images)
    rate = {
        name: work / timings[name].median / 1e9
        for name, work in {"ours": operations, "timm": operations, "matmul": 2 * SIDE**3}.items()
    }
    share = rate["ours"] / rate["matmul"]
    limit = (
        f"fp32 matrices multiply at {rate['matmul']:.0f} GFLOP/s; timm reaches {rate['timm']:.0f}, "
        f"so that nothing in fp32 can be more than {rate['matmul'] / rate['timm']:.1f} times faster"
    )
    name = f"feature maps of EfficientNetV2-M, {SIZE} px, batch {BATCH}"
    return [
        Row(
            what=name,
            reference="timm, eager, fp32",
            figure=ratio(timings["timm"], timings["ours"]),
            unit="× faster",
            aim=2,
            ours=timings["ours"],
            theirs=timings["timm"],
            checks=checks,
            limit=limit,
            why="bf16 is twice as fast, but its features are others: scripts/compare_engines.py",
        ),
        Row(
            what=name,
            reference=f"fp32 matrix product of {SIDE}",
            figure=100 * share,
            unit="% of its rate",
            aim=60,
            ours=timings["ours"],
            theirs=timings["matmul"],
        ),
    ]


def normalise(pictures: Tensor) -> Tensor:
    """uint8 to the range of the pretraining, [-1, 1]."""
    return pictures.float() / 127.5 - 1


def same_features(
    eager: nn.Module, ours: Trunk, pictures: np.ndarray, images: Tensor
) -> dict[str, bool]:
    """Cosine of each cell's last map, for these weights and for the pretrained default backbone."""
    small = {"name": "tf_efficientnet_lite2.in1k", "weights": "package"}
    trained, reference = with_onnxruntime(Backbone(**small, size=SIZE)), create(**small).eval()
    alike = {
        NAME: cosine(ours(pictures)[0], eager.forward_features(images)),
        small["name"]: cosine(trained(pictures)[0], reference.forward_features(images)),
    }
    return {
        f"cosine of the features with timm's ≥ 0.999, {name}: {value:.6f}": value >= 0.999
        for name, value in alike.items()
    }


def cosine(a: Tensor | np.ndarray, b: Tensor) -> float:
    """The least over the images."""
    a = torch.as_tensor(a)
    return float(nn.functional.cosine_similarity(a.flatten(1), b.flatten(1)).min())


def count_operations(model: nn.Module, images: Tensor) -> int:
    """Floating-point operations of one pass, a multiplication and an addition being two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.forward_features(images)
    return counter.get_total_flops()
