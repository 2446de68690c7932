"""What a config builds before a network is trained: cells, their pictures, splits, networks.

PyTorch and Lightning take seconds to import: only what needs a network does so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError

from oadls.data.collect import collect
from oadls.data.labels import check_trainable, classes_of, positive_of
from oadls.data.split import Split, check_split
from oadls.data.table import Cells, data_fingerprint
from oadls.errors import UserError
from oadls.parallel import run_local
from oadls.pipeline import PreparedCells
from oadls.report.cells import print_found
from oadls.schema import check_config, check_step

if TYPE_CHECKING:
    from oadls.data.dataset import CellData
    from oadls.features import FeatureMaps, Views
    from oadls.model.backbone import Backbone
    from oadls.model.network import Network

TUNABLE = ("model", "optimizer", "training")


def build(config: DictConfig, **more: Any) -> Any:
    """Instantiate a config node with plain lists and dicts inside; UserError for a wrong setting.

    It may name any code: it is the user's, or was checked when it was loaded (oadls/trust.py).
    A `_partial_` becomes a plain functools.partial: Hydra's own cannot be sent to a worker process.
    """
    free: Any = UNSAFE_DISABLE_EXECUTION_CHECKS
    step = _plain_partial(
        instantiate(config, _convert_="all", _partial_=True, _execution_whitelist_=free, **more)
    )
    return step if config.get("_partial_") else step()


def _plain_partial(value: Any) -> Any:
    if not isinstance(value, partial):
        return value
    bound = {name: _plain_partial(setting) for name, setting in value.keywords.items()}
    step = partial(value.func, *value.args, **bound)
    check_step(step)
    return step


def list_cells(config: DictConfig, *, to_train: bool = False) -> Cells:
    """The cells of a config, checked and with their groups; what was found is printed first.

    to_train : whether a class without a cell, or one class alone, is a UserError
    """
    check_config(config)
    data, source = config.data, build(config.data.source)

    def listed() -> Cells:
        cells = source()
        classes = classes_of(cells.table, data.classes)
        positive = positive_of(data.positive, classes)
        print_found(cells, name=data.name, classes=classes, positive=positive)
        if to_train:
            check_trainable(cells.table, classes=classes)
        return cells

    cells = collect(listed, max_bad=data.max_bad)
    if to_train:  # bad images may have been all of a class
        check_trainable(cells.table, classes=classes_of(cells.table, data.classes))
    return cells


@dataclass(frozen=True)
class Experiment:
    """The cells of a config, prepared and measured, and everything made from them."""

    config: DictConfig
    cells: Cells
    prepared: PreparedCells

    @classmethod
    def open(cls, config: DictConfig, *, to_train: bool = False) -> "Experiment":
        """Collect the cells and run the pipeline on those that the cache does not hold.

        to_train : whether a class without a cell, or one class alone, is a UserError
        """
        cells = list_cells(config, to_train=to_train)
        prepared = PreparedCells(build(config.pipeline)())
        engine = build(config.engine) if "engine" in config else run_local
        prepared.fill(cells.table, engine=engine)
        return cls(config, Cells(prepared.measured(cells.table), cells.excluded), prepared)

    def tuned(self, entry: str) -> "Experiment":
        """The same cells with settings changed: an entry of the config's `tune`.

        entry : "optimizer.lr=1e-4 model.head.dropout=0.3"
        raises UserError for a setting that is not there, or is not one of TUNABLE
        """
        changes = OmegaConf.from_dotlist(entry.split())
        for line in entry.split():
            name = line.split("=")[0]
            if name.split(".")[0] not in TUNABLE:
                raise UserError(f"tune: only settings of {', '.join(TUNABLE)} vary, not {name}")
        try:
            config = DictConfig(OmegaConf.merge(self.config, changes))
        except ConfigKeyError as error:
            raise UserError(f"tune: {str(error).splitlines()[0]}") from None
        check_config(config)
        return replace(self, config=config)

    def as_fitted(self, card: Mapping[str, Any]) -> "Experiment":
        """The same cells with the settings that a checkpoint was fitted with.

        card : what the checkpoint says of itself
        """
        found = {name: card["config"][name] for name in TUNABLE}
        return replace(self, config=DictConfig(OmegaConf.merge(self.config, found)))

    @property
    def is_network(self) -> bool:
        """Whether a network is trained, and not an estimator on numbers."""
        return "head" in self.config.model

    @cached_property
    def inputs(self) -> Any:
        """The numbers that an estimator is given of each cell (oadls/baselines/inputs.py)."""
        return build(self.config.model.inputs)(self)

    @property
    def table(self) -> pd.DataFrame:
        """One row an image: path, label, patient, group, measurements, ..."""
        return self.cells.table

    @cached_property
    def fingerprint(self) -> str:
        """Which cells these are (see `data_fingerprint`)."""
        return data_fingerprint(self.table)

    @cached_property
    def classes(self) -> list[str]:
        """The classes in the order of every probability and score."""
        return classes_of(self.table, self.config.data.classes)

    @property
    def positive(self) -> str | None:
        """The class that is to be found; None where the config names none."""
        return positive_of(self.config.data.positive, self.classes)

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64 index into classes, -1 where unknown."""
        codes = {name: k for k, name in enumerate(self.classes)}
        return self.table["label"].map(codes).fillna(-1).to_numpy(dtype=np.int64)

    def splits(self) -> list[Split]:
        """The folds, or the one that `fold` names; UserError when a group stands on two sides."""
        splits = build(self.config.split)(self.table, seed=self.config.split_seed)
        for split in splits:
            check_split(self.table, split)
        wanted, folds = self.config.get("fold"), {split.fold for split in splits}
        if wanted is None:
            return splits
        if wanted not in folds:
            raise UserError(f"fold: the split has folds {sorted(folds)}, not {wanted}")
        return [split for split in splits if split.fold == wanted]

    def sides(self, split: Split) -> np.ndarray:
        """(N,) str, the side of each row."""
        return self.table["name"].map(split.side).to_numpy(dtype=str)

    def network(self, *, seed: int) -> "Network":
        """A network with pretrained backbone and a head drawn from the seed."""
        import pytorch_lightning as pl

        from oadls.model.network import Network

        pl.seed_everything(seed, workers=True, verbose=False)
        model = self.config.model
        return Network(
            backbone=build(model.backbone), head=build(model.head), classes=len(self.classes)
        )

    @cached_property
    def views(self) -> "Views":
        """The pictures that the network sees."""
        from oadls.features import Views

        return Views(
            self.prepared, crop=build(self.config.crop), augment=build(self.config.augment)
        )

    def features(self, backbone: "Backbone", cells: Iterable[tuple[str, int]]) -> "FeatureMaps":
        """What the frozen trunk makes of the given views, from the cache or computed now."""
        from oadls.features import FeatureMaps

        maps = FeatureMaps(self.views, backbone, device=self.device)
        maps.fill(cells)
        return maps

    @cached_property
    def device(self) -> str:
        """Where the trainer computes: "cpu", or torch's name of the accelerator."""
        import torch

        wanted = OmegaConf.select(self.config, "trainer.accelerator", default="cpu")
        found = torch.accelerator.current_accelerator(check_available=True)
        return "cpu" if wanted == "cpu" or found is None else found.type

    def data(self, sides: np.ndarray, backbone: "Backbone") -> "CellData":
        """Loaders of one split: cached feature maps, or pictures where nothing is frozen."""
        from oadls.data.dataset import CellData, CellDataset
        from oadls.features import FeatureMaps
        from oadls.ranks import for_this_machine

        training = self.config.training
        dataset = CellDataset(self.table["pixels_sha256"].tolist(), self.labels, self._picture)
        data = CellData(
            dataset,
            sides,
            self.table["group"].to_numpy(),
            batch_size=training.batch_size,
            views=training.views,
            test_views=training.test_views,
            balance=training.balance,
            seed=self.config.seed,
            workers=training.workers,
            pin_memory=self.device == "cuda",
        )
        if backbone.cut > 0:
            maps = FeatureMaps(self.views, backbone, device=self.device)
            for_this_machine(maps.fill, data.cells())
            dataset.read = maps.read
        return data

    def _picture(self, cell: tuple[str, int]) -> tuple[np.ndarray, ...]:
        picture = self.views.picture(*cell)  # (S, S, 3)
        return (np.ascontiguousarray(picture.transpose(2, 0, 1)),)  # (3, S, S) uint8
