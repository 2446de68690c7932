"""Which engine runs the frozen backbone: python -m scripts.compare_engines

Needs the real images (OADLS_DATA_DIR) and: pip install openvino. Runs EfficientNetV2-M at 384 px
(random weights, damped as in scripts/bench/weights.py) and the pretrained default backbone at
260 px in each engine, in turn, and prints the speed as a ratio to timm as it comes, the least
cosine of a cell's last map with timm's, and the seconds before the first result.
"""

import copy
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from torch import Tensor, nn

from oadls.model.weights import create
from scripts.bench.pictures import cell_pictures
from scripts.bench.table import alternate, machine, ratio
from scripts.bench.trunk import cosine, normalise
from scripts.bench.weights import NAME, SIZE, sensible_weights

BATCH, REPEATS = 8, 5
Engine = Callable[[Tensor], Tensor]


class Features(nn.Module):
    """An EfficientNet to its last map, without the classifier."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            model.conv_stem, model.bn1, model.blocks, model.conv_head, model.bn2
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def engines(model: nn.Module) -> dict[str, Callable[[Tensor], Engine]]:
    """Name -> what builds the engine, given the images that it will see."""
    plain = Features(model).eval()
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    half = copy.deepcopy(last).bfloat16()
    return {
        "timm, eager, fp32": lambda _: plain,
        "channels-last, fp32": lambda _: partial(run, last),
        "channels-last, bf16": lambda _: partial(run, half),
        "Inductor, frozen, fp32": lambda _: partial(run, compiled(last)),
        "Inductor, frozen, bf16": lambda _: partial(run, compiled(half)),
        "OpenVINO, fp32": lambda images: with_openvino(plain, images, "f32"),
        "OpenVINO, bf16": lambda images: with_openvino(plain, images, "bf16"),
        "ONNX Runtime, fp32 (oadls)": lambda images: with_onnx(plain, images),
    }


def run(model: nn.Module, images: Tensor) -> Tensor:
    """In the model's precision and in the memory format of images."""
    dtype = next(model.parameters()).dtype
    return model(images.to(dtype).contiguous(memory_format=torch.channels_last)).float()


def compiled(model: nn.Module) -> nn.Module:
    """By torch.compile with weights and sizes as constants."""
    torch._inductor.config.freezing = True
    return torch.compile(model, dynamic=False)


def with_openvino(model: nn.Module, images: Tensor, precision: str) -> Engine:
    converted = openvino.convert_model(model, example_input=images, input=images.shape)
    network = openvino.Core().compile_model(
        converted, "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )
    return lambda given: torch.from_numpy(network(given.numpy())[0])


def with_onnx(model: nn.Module, images: Tensor) -> Engine:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        torch.onnx.export(model, (images,), file, dynamo=False, opset_version=17)
        session = onnxruntime.InferenceSession(
            file.read_bytes(), providers=["CPUExecutionProvider"]
        )
    name = session.get_inputs()[0].name
    return lambda given: torch.from_numpy(np.asarray(session.run(None, {name: given.numpy()})[0]))


@torch.no_grad()
def compare(title: str, model: nn.Module, images: Tensor) -> None:
    """Print a line for each engine."""
    built, first, found = {}, {}, {}
    for name, build in engines(model.eval()).items():
        start = time.perf_counter()
        built[name] = build(images)
        found[name] = built[name](images)
        first[name] = time.perf_counter() - start
    timings = alternate(
        {name: partial(engine, images) for name, engine in built.items()}, repeats=REPEATS
    )
    reference = next(iter(built))
    print(f"\n{title}, batch {len(images)}\n")
    print("| engine | images/s | × timm | least cosine | s to the first result |")
    print("| --- | --- | --- | --- | --- |")
    for name, timing in timings.items():
        print(
            f"| {name} | {len(images) / timing.median:.1f} "
            f"| {ratio(timings[reference], timing):.2f} "
            f"| {cosine(found[name], found[reference]):.4f} | {first[name]:.1f} |",
            flush=True,
        )


def main() -> None:
    warnings.filterwarnings("ignore")
    where = machine()
    print(f"{where['date']}, {where['processor']}, {where['cores']} cores, {where['libraries']}")
    small = "tf_efficientnet_lite2.in1k"
    images = normalise(cell_pictures("all_idb2", number=BATCH, size=260))
    compare(f"{small}, pretrained, 260 px", create(name=small, weights="package"), images)
    images = normalise(cell_pictures("all_idb2", number=BATCH + 4, size=SIZE))
    with tempfile.TemporaryDirectory() as folder:
        weights = sensible_weights(Path(folder), images[BATCH:])
        model = create(name=NAME, weights=str(weights))
    compare(f"{NAME}, random, {SIZE} px", model, images[:BATCH])


if __name__ == "__main__":
    main()
