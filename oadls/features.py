"""Prepared cell -> views -> feature maps of the frozen trunk, kept in the cache."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from rich.progress import track

from oadls.cache import Cache
from oadls.model.backbone import Backbone
from oadls.model.engine import trunk_on
from oadls.parallel import batches
from oadls.pipeline import PreparedCells
from oadls.recipe import code_hash, describe, library_versions

Cell = tuple[str, int]  # content hash of the image, view


class Views:
    """The square pictures that the network sees: cropped, then turned, stained and focused.

    crop : (H, W, 3) image, (H, W) mask -> (S, S, 3) uint8 and its mask
    augment : (S, S, 3) uint8, view, seed -> (S, S, 3) uint8; view 0 is the picture itself
    """

    def __init__(
        self, prepared: PreparedCells, *, crop: Callable[..., Any], augment: Callable[..., Any]
    ) -> None:
        self.prepared, self.crop, self.augment = prepared, crop, augment
        self._last: tuple[str, Any] = ("", None)

    def picture(self, key: str, view: int = 0) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""
        return self.augment(self._cropped(key)[0], view=view, seed=int(key[:8], 16))

    def channels(self, cell: Cell) -> tuple[np.ndarray]:
        """(3, S, S) uint8, as a network reads it that is trained whole."""
        return (np.ascontiguousarray(self.picture(*cell).transpose(2, 0, 1)),)

    def mask(self, key: str) -> np.ndarray:
        """(S, S) uint8 mask of view 0, 0 background, 128 cytoplasm, 255 nucleus."""
        return self._cropped(key)[1]

    def _cropped(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """The crop, kept for the next call: views of a cell come in turn."""
        name, crop = self._last
        if name != key:
            crop = self.crop(*self.prepared.picture(key))
            self._last = (key, crop)
        return crop

    @property
    def recipe(self) -> dict[str, Any]:
        """What the pictures depend on."""
        return {
            "prepared": self.prepared.pipeline.recipe,
            "crop": describe(self.crop),
            "augment": describe(self.augment),
            "libraries": library_versions(("albumentations",)),
        }


class FeatureMaps:
    """Cached outputs of a frozen trunk, one tuple of maps for each view of each cell.

    device : where the trunk runs; each rounds in its own way, so it is in the recipe
    """

    def __init__(self, views: Views, backbone: Backbone, *, device: str = "cpu") -> None:
        self.views, self.backbone, self.device = views, backbone, device
        recipe = {
            "views": views.recipe,
            "trunk": _describe_trunk(backbone),
            "device": device,
            "code": code_hash("oadls.model.engine"),
            "libraries": library_versions(("torch", "timm", "onnxruntime")),
        }
        self._cache = Cache("features", recipe, compress=False)

    def fill(self, cells: Iterable[Cell], *, batch_size: int = 16) -> None:
        """Run the trunk on every view that is not in the cache."""
        missing = self._cache.missing(dict.fromkeys(cells), key=_name)
        if not missing:
            return
        with trunk_on(self.device, self.backbone) as trunk:
            slices = list(batches(missing, batch_size))
            for batch in track(slices, "Extracting features", transient=True):
                maps = trunk(np.stack([self.views.picture(*cell) for cell in batch]))
                self._cache.write(
                    {
                        _name(cell): {str(i): m[row] for i, m in enumerate(maps)}
                        for row, cell in enumerate(batch)
                    }
                )

    def read(self, cell: Cell) -> tuple[np.ndarray, ...]:
        """The trunk's maps of one view, each (C, h, w)."""
        return _read_maps(self._cache, cell)

    @property
    def reader(self) -> Callable[[Cell], tuple[np.ndarray, ...]]:
        """`read` for other processes: without the weights of the trunk."""
        return functools.partial(_read_maps, self._cache)


def _read_maps(cache: Cache, cell: Cell) -> tuple[np.ndarray, ...]:
    arrays = cache.read(_name(cell))
    return tuple(arrays[str(i)] for i in range(len(arrays)))


def _name(cell: Cell) -> str:
    return f"{cell[0]} {cell[1]}"


def _describe_trunk(backbone: Backbone) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "weights": backbone.weights_sha256,
        "size": backbone.size,
        "mean": backbone.mean.flatten().tolist(),
        "std": backbone.std.flatten().tolist(),
        "taps": backbone.taps,
        "cover": backbone.cover,
        "cut": backbone.cut,
    }
