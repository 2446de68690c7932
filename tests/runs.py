"""How tests compose the real configs and train with them."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from oadls import training
from oadls.train import train

CONF = Path(__file__).parent.parent / "conf"


def composed(entry: str, *overrides: str) -> DictConfig:
    """The config of an entry point, as its command line would make it."""
    with initialize_config_dir(str(CONF)):
        return compose(entry, overrides=list(overrides))


def train_in(folder: Path, *overrides: str, resume: bool = False) -> Path:
    """Train in a folder of our own, as Hydra would have made it."""
    cfg = composed("train", *overrides)
    with open_dict(cfg):
        cfg.ckpt_path = str(folder) if resume else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run_dir", lambda name, ckpt_path: str(folder))
        train(cfg)
    return folder
