"""What runs a frozen trunk: ONNX Runtime on the processor, torch on an accelerator.

On the processor ONNX Runtime is the fastest engine whose maps are those of torch in fp32
(docs/speed.md). It folds batch norms into convolutions and chooses the memory format itself.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from oadls.errors import UserError
from oadls.model.backbone import Backbone, Maps

Trunk = Callable[[np.ndarray], list[np.ndarray]]


@contextmanager
def trunk_on(device: str, backbone: Backbone) -> Iterator[Trunk]:
    """The trunk of a backbone as a function of pictures: (B, S, S, 3) uint8 RGB -> its maps.

    device : "cpu", or torch's name of an accelerator; the backbone goes there and comes back
    yields a function that returns each map as (B, C, h, w) float32
    """
    if device == "cpu":
        yield with_onnxruntime(backbone)
        return
    home = backbone.mean.device
    backbone.to(device)
    try:
        yield with_torch(backbone)
    finally:
        backbone.to(home)


def with_torch(backbone: Backbone) -> Trunk:
    """Runs where the backbone is."""

    @torch.inference_mode()
    def run(pictures: np.ndarray) -> list[np.ndarray]:
        images = torch.from_numpy(_channels_first(pictures)).to(backbone.mean.device)
        return [m.cpu().numpy() for m in backbone.trunk(images)]

    return run


def with_onnxruntime(backbone: Backbone) -> Trunk:
    """Runs on as many cores as torch may use; UserError for a model that cannot be exported."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trunk.onnx"
        _export(backbone, file)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda pictures: session.run(None, {"images": _channels_first(pictures)})


def _channels_first(pictures: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))  # (B, 3, S, S)


def _export(backbone: Backbone, file: Path) -> None:
    """Write the trunk as an ONNX model for any number of images.

    By tracing: torch's newer exporter takes up to five times as long, and one more dependency.
    """
    trunk = _Trunk(backbone).train(backbone.training)  # the exporter leaves it in this mode
    images = torch.zeros(2, 3, backbone.size, backbone.size, dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecation, and of sizes that become constants
            torch.onnx.export(
                trunk,
                (images,),
                file,
                input_names=["images"],
                dynamic_axes={"images": {0: "batch"}},
                opset_version=17,
                dynamo=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(
            f"backbone: {backbone.name} cannot be exported to ONNX, which runs it on processors "
            f"({type(error).__name__}: {error}); trainer=gpu runs it with torch"
        ) from error


class _Trunk(nn.Module):
    """The trunk as the forward pass."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Maps:
        return self.backbone.trunk(images)
