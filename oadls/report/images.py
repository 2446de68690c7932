"""The pictures of a run's cells, as far as they are still those that the run saw."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from oadls.data.read import BadImage, hash_pixels
from oadls.experiment import Experiment


class PicturesGone(Exception):
    """What a picture is drawn from is not there any more, or has changed."""


def original(experiment: Experiment, cell: pd.Series) -> np.ndarray:
    """(H, W, 3) uint8 RGB, the very image that the run saw; PicturesGone where it is not there.

    cell : path and pixels_sha256
    """
    try:
        image = experiment.prepared.original(cell["path"])
    except (BadImage, OSError) as error:
        raise PicturesGone(str(error)) from error
    if hash_pixels(image) != cell["pixels_sha256"]:
        raise PicturesGone(f"{cell['path']} has changed")
    return image


def need_prepared(experiment: Experiment, keys: Sequence[str]) -> None:
    """Fill the cache with what a network saw in some cells, as far as it is not there.

    keys : content hashes of cells of the experiment
    raises PicturesGone where it is not there, and an image neither
    """
    missing = experiment.prepared.missing(keys)
    if not missing:
        return
    table = experiment.table[experiment.table["pixels_sha256"].isin(missing)]
    for _, cell in table.iterrows():
        original(experiment, cell)
    experiment.prepared.fill(table)


def picture_seen(experiment: Experiment, key: str) -> np.ndarray:
    """(S, S, 3) uint8 RGB: what a network sees of a cell, or (H, W, 3) what is measured.

    key : content hash of the image
    """
    need_prepared(experiment, [key])
    if is_measured(experiment.config):
        return experiment.prepared.picture(key)[0]
    return experiment.views.picture(key)


def is_measured(config: DictConfig) -> bool:
    """Whether numbers are measured on the whole prepared image, which no crop is made of."""
    return config.model.backbone is None
