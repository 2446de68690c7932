"""Where a network looks: the attention λ of the ACRNN, and Grad-CAM (Selvaraju et al. 2017).

Grad-CAM is computed as HiResCAM (Draelos & Carin 2020): each position keeps its own gradient. For
a head that is linear in the mean over positions the two are one; gradients averaged over positions
(eq. 1 of Grad-CAM) vanish for a head that reads a spread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from oadls.experiment import Experiment
from oadls.model.acrnn import ACRNN
from oadls.model.network import Network
from oadls.parallel import batches
from oadls.trust import read_checkpoint

Maps = tuple[Tensor, ...]


@dataclass(frozen=True)
class Look:
    """What one network looked at in one cell.

    picture : (S, S, 3) uint8 RGB, what it saw; mask : (S, S) uint8 codes
    cam : (S, S) float32, Grad-CAM of the predicted class, at least 0
    attention : (S, S) float32, λ as a map over the picture; None where λ is none
    """

    picture: np.ndarray
    mask: np.ndarray
    cam: np.ndarray
    attention: np.ndarray | None


def load_network(experiment: Experiment, checkpoint: Path) -> Network:
    """The trained network of a checkpoint, in evaluation mode."""
    saved = read_checkpoint(checkpoint, like=experiment.config)
    network = experiment.as_fitted(saved["oadls"]).network(seed=experiment.config.seed)
    parts = saved["state_dict"].items()
    weights = {k.removeprefix("network."): v for k, v in parts if k.startswith("network.")}
    network.load_state_dict(weights)
    return network.eval()


def look(experiment: Experiment, network: Network, keys: Sequence[str]) -> Iterator[Look]:
    """Explain the given images (content hashes), view 0, in their order."""
    for batch in batches(keys, 16):
        pictures = np.stack([experiment.views.picture(key) for key in batch])  # (B, S, S, 3)
        maps = trunk_maps_of(experiment, network, batch)
        cams = grad_cam(network, maps, side=pictures.shape[1])
        weights = attention_maps(network, maps, side=pictures.shape[1])
        for i, key in enumerate(batch):
            attention = None if weights is None else weights[i]
            yield Look(pictures[i], experiment.views.mask(key), cams[i], attention)


def trunk_maps_of(experiment: Experiment, network: Network, keys: Sequence[str]) -> Maps:
    """What the frozen trunk makes of view 0 of each image, (B, ...) each; pictures if none is."""
    backbone = network.backbone
    if backbone.cut == 0:
        pictures = np.stack([experiment.views.picture(key) for key in keys])  # (B, S, S, 3)
        return (torch.from_numpy(pictures).permute(0, 3, 1, 2),)
    cells = [(key, 0) for key in keys]
    features = experiment.features(backbone, cells)
    columns = zip(*(features.read(cell) for cell in cells), strict=True)
    return tuple(torch.from_numpy(np.stack(column)) for column in columns)


def grad_cam(network: Network, trunk_maps: Maps, *, side: int) -> np.ndarray:
    """Grad-CAM of the predicted class over every map that the head reads.

    trunk_maps : what the frozen trunk returned, each (B, C_i, H_i, W_i)
    returns (B, side, side) float32, at least 0, in logits per pixel: gradient times map, summed
        over channels, ReLU (eq. 2), spread over the pixels of each position, so that maps of
        several scales can be added
    """
    with torch.no_grad():
        tapped = network.backbone.tail(trunk_maps)
    maps = tuple(m.detach().float().requires_grad_() for m in tapped)
    logits = network.head(maps)  # (B, K)
    read = maps[network.backbone.cover :]  # how much of a place is cell is no feature of it
    gradients = torch.autograd.grad(logits.amax(dim=1).sum(), read)
    total = torch.zeros(len(logits), side, side)
    for m, gradient in zip(read, gradients, strict=True):
        cam = (gradient * m.detach()).sum(dim=1, keepdim=True).relu()  # (B, 1, H, W)
        pixels = side * side / (cam.shape[2] * cam.shape[3])  # of a position
        total += F.interpolate(cam / pixels, (side, side), mode="bilinear")[:, 0]
    return total.numpy()


def attends(network: Network) -> bool:
    """Whether the head has the attention of eqs 4-6."""
    head = network.head
    return isinstance(head, ACRNN) and head.recurrent and head.l9_forward.attention


def attends_places(network: Network) -> bool:
    """Whether λ weighs places of the picture, not bands of channels."""
    return attends(network) and bool(network.head.plane.spatial)  # type: ignore[union-attr]


@torch.no_grad()
def attention_weights(network: Network, trunk_maps: Maps) -> np.ndarray | None:
    """λ (B, T, P) of eq. 5, mean of both directions; None for a head without attention."""
    if not attends(network):
        return None
    _, weights = network.head(
        network.backbone.tail(trunk_maps), return_attention=True
    )  # (B, 2, T, P)
    return weights.mean(dim=1).float().numpy()


def attention_maps(network: Network, trunk_maps: Maps, *, side: int) -> np.ndarray | None:
    """λ laid over the picture (B, side, side); None where its positions are no places in it."""
    weights = attention_weights(network, trunk_maps)
    if weights is None or not attends_places(network):
        return None
    grid = weights.transpose(0, 2, 1)  # (B, P, T): rows and columns of the picture
    return np.stack([cv2.resize(g, (side, side), interpolation=cv2.INTER_LINEAR) for g in grid])


def share_inside(saliency: np.ndarray, mask: np.ndarray) -> float:
    """How much of a saliency map falls on the cell, 0 to 1; NaN for a map of zeros.

    saliency : (S, S) float, at least 0; mask : (S, S), above 0 in the cell
    A map that knows nothing of the cell gives the share of the picture that the cell covers.
    """
    total = float(saliency.sum())
    return float(saliency[mask > 0].sum()) / total if total > 0 else float("nan")
