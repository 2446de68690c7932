"""One image through the steps of the paper: Wiener filter, dynamic equalization, watershed."""

import functools
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from oadls.cache import Cache
from oadls.data.read import read_image, read_known
from oadls.parallel import run_local
from oadls.preprocess.foreground import blacken, bounding_box, find_foreground
from oadls.recipe import code_hash, describe, library_versions
from oadls.segment.measure import measure
from oadls.shards import Draft

Step = Callable[..., Any]
MARGIN = 8  # px round the foreground that a step may look at
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What the pipeline makes of one image.

    image : (H, W, 3) uint8 RGB, filtered and equalized
    mask : (H, W) uint8, 0 background, 128 cytoplasm, 255 nucleus
    measures : name -> value of the cell (px, px², ratios, intensities)
    note : empty, or how the segmentation fell back
    """

    image: np.ndarray
    mask: np.ndarray
    measures: dict[str, float]
    note: str = ""

    def to_records(self, key: str) -> dict[str, dict[str, np.ndarray]]:
        """For the cache: the picture, and apart from it the little that a table needs."""
        facts = json.dumps({"measures": self.measures, "note": self.note})
        return {
            f"{key} picture": {"image": self.image, "mask": self.mask},
            key: {"facts": np.frombuffer(facts.encode(), dtype=np.uint8)},
        }


@dataclass(frozen=True)
class Stages:
    """Every intermediate picture of one image, for figures.

    The steps work in a window round the foreground, beyond which everything is black. Nothing but
    the mask is kept in the size of the image: on a cut-out cell, large arrays of zeros would take a
    tenth of the time. The properties lay a picture out in full when it is asked for.

    window : rows and columns of the image
    parts : the original, smooth and equalized window, (h, w, 3) float32 RGB in [0, 1] each
    mask : (H, W) uint8, as in Prepared
    note : empty, or how the segmentation fell back
    """

    window: tuple[slice, slice]
    parts: tuple[np.ndarray, np.ndarray, np.ndarray]
    mask: np.ndarray
    note: str

    @property
    def original(self) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1]."""
        return self._whole(self.parts[0])

    @property
    def smooth(self) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1]."""
        return self._whole(self.parts[1])

    @property
    def equalized(self) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1]."""
        return self._whole(self.parts[2])

    @property
    def enhanced(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the equalized image as it is stored and shown."""
        return self._whole(to_uint8(self.parts[2]))

    def _whole(self, part: np.ndarray) -> np.ndarray:
        picture = np.zeros((*self.mask.shape, 3), part.dtype)
        picture[self.window] = part
        return picture


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Float in [0, 1] to uint8, rounded."""
    return cv2.convertScaleAbs(image, alpha=255)


@dataclass(frozen=True)
class Pipeline:
    """The steps with their settings bound; a step that is None is left out.

    smooth : (H, W, 3) float32, foreground -> the same, noise filtered (paper, eqs 1-3)
    equalize : (H, W, 3) float32, foreground -> the same, contrast enhanced (section 3.1)
    segment : smooth and equalized image, foreground -> Segmentation (section 3.2)
    """

    smooth: Step | None
    equalize: Step | None
    segment: Step

    def stages(self, image: np.ndarray) -> Stages:
        """(H, W, 3) uint8 RGB -> every stage."""
        foreground = find_foreground(image)
        return self._stages(blacken(image, foreground), foreground)

    def _stages(self, image: np.ndarray, foreground: np.ndarray) -> Stages:
        window = bounding_box(foreground, margin=MARGIN)
        inside = foreground[window]  # (h, w)
        original = np.divide(image[window], 255, dtype=np.float32)
        smooth = self.smooth(original, foreground=inside) if self.smooth else original
        equalized = self.equalize(smooth, foreground=inside) if self.equalize else smooth
        cell = self.segment(smooth, equalized, foreground=inside)
        mask = np.zeros(foreground.shape, np.uint8)
        mask[window] = cell.mask
        return Stages(window, (original, smooth, equalized), mask, cell.note)

    def __call__(self, image: np.ndarray) -> Prepared:
        """(H, W, 3) uint8 RGB -> what later stages need; colours are those of the original."""
        foreground = find_foreground(image)
        image = blacken(image, foreground)  # noise beside the cell is no background to measure
        stages = self._stages(image, foreground)
        return Prepared(stages.enhanced, stages.mask, measure(image, stages.mask), stages.note)

    @functools.cached_property
    def recipe(self) -> dict[str, Any]:
        """Changes with any step, setting, line of code or library that the result depends on."""
        return {
            "smooth": describe(self.smooth),
            "equalize": describe(self.equalize),
            "segment": describe(self.segment),
            "pipeline": code_hash(__name__),
            "libraries": library_versions(),
        }


class PreparedCells:
    """The cache of one pipeline: content hash of an image -> its Prepared parts.

    bits : of each sample in 16-bit files that do not say it (see `read_image`)
    """

    def __init__(self, pipeline: Pipeline, *, bits: int | None = None) -> None:
        self.pipeline, self.bits = pipeline, bits
        self._cache = Cache("prepared", pipeline.recipe)

    def fill(self, table: pd.DataFrame, *, engine: Callable[..., None] = run_local) -> None:
        """Run the pipeline on every image of the table that is not in the cache.

        engine : by whose processes, a group of conf/engine
        """
        start = time.perf_counter()
        todo = table.drop_duplicates("pixels_sha256").set_index("pixels_sha256")["path"]
        keys = self._cache.missing(todo.index)
        work = [(key, todo[key]) for key in keys]
        engine(self._prepare, work, cache=self._cache, title="Preparing cells")
        if keys:
            seconds = time.perf_counter() - start
            each = 1000 * seconds / len(keys)
            log.info("%d new images in %.1f s (%.0f ms each)", len(keys), seconds, each)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Content hashes of images that the cache does not hold, each once."""
        return self._cache.missing(dict.fromkeys(keys))

    def _prepare(self, block: Sequence[tuple[str, str]], store: Cache | Draft) -> None:
        """Make and write the records of (content hash, path)."""
        records: dict[str, dict[str, np.ndarray]] = {}
        for key, path in block:
            pixels = read_known(Path(path), key, bits=self.bits)
            records |= self.pipeline(pixels).to_records(key)
        store.write(records)

    def original(self, path: str | Path) -> np.ndarray:
        """(H, W, 3) uint8 RGB of an image file, before any step."""
        return read_image(Path(path), bits=self.bits)

    def picture(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 enhanced image and (H, W) uint8 mask."""
        arrays = self._cache.read(f"{key} picture")
        return arrays["image"], arrays["mask"]

    def measured(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with the measurements of each cell and the note of its segmentation."""
        names = list(self._facts(table["pixels_sha256"].iloc[0])["measures"])
        values, notes = np.empty((len(table), len(names))), []
        for row, key in enumerate(table["pixels_sha256"]):  # dicts of floats take far more memory
            facts = self._facts(key)
            values[row] = list(facts["measures"].values())
            notes.append(facts["note"])
        measures = pd.DataFrame(values, columns=names, index=table.index)
        return pd.concat([table, measures, pd.Series(notes, table.index, name="note")], axis=1)

    def _facts(self, key: str) -> dict[str, Any]:
        return json.loads(self._cache.read(key)["facts"].tobytes())
