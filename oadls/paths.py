"""Which settings are paths, and what ~ means in them."""

import os

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

PATHS = ("data.root", "data.table", "data.manifest", "data.labels", "export", "checkpoint")
PATHS += ("ckpt_path", "model.backbone.weights", "hydra.run.dir", "hydra.sweep.dir")


def expand_home(config: DictConfig) -> None:
    """Replace the ~ at the start of paths that config files and variables give."""
    for name in PATHS:
        try:
            value = OmegaConf.select(config, name)
        except OmegaConfBaseException:
            continue  # whoever needs it says what is wrong
        if isinstance(value, str) and value.startswith("~"):
            OmegaConf.update(config, name, os.path.expanduser(value))
