"""What an estimator is given of each cell: numbers measured on it, or pooled maps of a backbone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oadls.baselines.floors import pooled_features
from oadls.cache import Cache
from oadls.experiment import Experiment, build
from oadls.model.backbone import Backbone
from oadls.parallel import run_local
from oadls.recipe import describe, library_versions
from oadls.shards import Draft

LIBRARIES = ("numpy", "scipy", "scikit-image", "PyWavelets")


@dataclass(frozen=True)
class Handcrafted:
    """Numbers measured on the prepared picture of a cell and its mask.

    measure : (H, W, 3) uint8 RGB, (H, W) uint8 mask -> name -> finite float, the same names always
    """

    experiment: Experiment
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]]

    def read(self) -> np.ndarray:
        """(N, D) float64 of every cell of the experiment, from the cache or measured now."""
        keys = self.experiment.table["pixels_sha256"].tolist()
        missing = [(key,) for key in self._cache.missing(dict.fromkeys(keys))]
        run_local(self._fill, missing, cache=self._cache, title="Measuring cells")
        return np.stack([self._cache.read(key)["numbers"] for key in keys])

    def compute(self, keys: Sequence[str]) -> np.ndarray:
        """(n, D) float64 of some images, by their content hashes, without the cache."""
        return np.stack([self._measure(key) for key in keys])

    @cached_property
    def _cache(self) -> Cache:
        recipe = {
            "prepared": self.experiment.prepared.pipeline.recipe,
            "measure": describe(self.measure),
            "libraries": library_versions(LIBRARIES),
        }
        return Cache("numbers", recipe)

    def _measure(self, key: str) -> np.ndarray:
        found = self.measure(*self.experiment.prepared.picture(key))
        return np.array(list(found.values()), dtype=np.float64)  # (D,)

    def _fill(self, block: Sequence[tuple[str]], store: Cache | Draft) -> None:
        store.write({key: {"numbers": self._measure(key)} for (key,) in block})


@dataclass(frozen=True)
class Pooled:
    """The mean over positions of the last map of the frozen backbone, view 0."""

    experiment: Experiment

    def read(self) -> np.ndarray:
        """(N, C) float64 of every cell of the experiment, from the cache or computed now."""
        return pooled_features(self.experiment).astype(np.float64)

    @cached_property
    def backbone(self) -> Backbone:
        """All of it frozen."""
        return build(self.experiment.config.model.backbone, taps=[-1], train_last=0)
