"""Real images for the benchmark."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oadls.experiment import build
from scripts.bench.config import composed


def image_files(data: str, *overrides: str, number: int) -> list[Path]:
    """Files of a data set, evenly spaced over the sorted list."""
    config = composed("prepare", f"data={data}", *overrides)
    paths = build(config.data.source)().table["path"].tolist()
    return [Path(paths[i]) for i in np.linspace(0, len(paths) - 1, number).astype(int)]


def cell_pictures(data: str, *, number: int, size: int) -> Tensor:
    """(number, 3, size, size) uint8 RGB, whole images scaled."""
    pictures = []
    for file in image_files(data, number=number):
        with Image.open(file) as image:
            pictures.append(np.asarray(image.convert("RGB").resize((size, size))))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
