"""How tests compose the real configs and train with them."""

import shutil
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from oadls import train

CONF = Path(__file__).parent.parent / "conf"


def composed(entry: str, *overrides: str, hydra: bool = False) -> DictConfig:
    """The config of an entry point, as its command line would make it; `hydra`: with that node."""
    with initialize_config_dir(str(CONF)):
        return compose(entry, overrides=list(overrides), return_hydra_config=hydra)


def train_in(folder: Path, *overrides: str, resume: bool = False) -> Path:
    """Train in a folder of our own, as Hydra would have made it."""
    cfg = composed("train", *overrides)
    with open_dict(cfg):
        cfg.ckpt_path = str(folder) if resume else None
    train.train_in(folder, cfg)
    return folder


def thinned_all_idb2(data_dir: Path, root: Path, *, every: int) -> Path:
    """A copy of ALL-IDB2 with every so-manieth image, for tests that cannot wait."""
    (root / "images").mkdir(parents=True)
    for file in sorted((data_dir / "all-idb2" / "images").iterdir())[::every]:
        shutil.copy(file, root / "images")
    return root


def thinned_fold_1(data_dir: Path, root: Path, *, every: int) -> Path:
    """A copy of C-NMC with some of fold_1 and all that is there of the other parts."""
    home = data_dir / "c-nmc"
    images = sorted(home.rglob("*.webp"))
    kept = [file for file in images if "fold_1" not in file.parts]
    kept += [file for file in images if "fold_1" in file.parts][::every]
    for file in [*kept, *home.rglob("*labels.csv")]:
        target = root / file.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return root
