"""The configs that a user's commands compose."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from oadls.settings import project_root


def composed(entry: str, *overrides: str) -> DictConfig:
    """The config of an entry point ("train", "prepare", ...) with these overrides."""
    with initialize_config_dir(str(Path(project_root()) / "conf")):
        return compose(entry, overrides=list(overrides))
