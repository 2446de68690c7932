"""Which reading of the feature map should be the default, A, A128 or F?

python scripts/compare_readings.py

Every reading on all_idb2 and on synthetic, several seeds (of folds and of weights), everything else
as shipped but images of 160 px and 4 views: reading A costs six times A128.
Validation chooses; the test scores stand beside it. What is finished is not run again.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from oadls.experiment import Experiment
from oadls.training import make_classifier, make_trainer, quiet

ROOT = Path(__file__).resolve().parent.parent
DATA = {"all_idb2": "+experiment=all_idb2", "synthetic": "+experiment=quickstart"}
READINGS = ("acrnn_a", "acrnn_a128", "acrnn_f")
SEEDS = (0, 1, 2)
SMALLER = ("model.backbone.size=160", "training.views=4", "training.test_views=1", "floors=false")


def run(data: str, reading: str, seed: int) -> dict:
    """The metrics of one run, made now unless they are there."""
    folder = ROOT / "outputs" / "compare_readings" / data / reading / str(seed)
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        command = [sys.executable, "-m", "oadls.train", *overrides(data, reading, seed)]
        subprocess.run([*command, f"hydra.run.dir={folder}"], check=True, cwd=ROOT)
    return json.loads(metrics.read_text())


def overrides(data: str, reading: str, seed: int) -> list[str]:
    """What the command line adds to the shipped experiment."""
    return [DATA[data], f"model/head={reading}", f"seed={seed}", *SMALLER]


class Stopwatch(pl.Callback):
    """Seconds of every training epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def seconds_per_epoch(cfg: DictConfig) -> float:
    """Of training one network on cached features: the faster of two epochs."""
    experiment = Experiment.open(cfg)
    network = experiment.network(seed=cfg.seed)
    split = experiment.splits()[0]
    data = experiment.data(experiment.sides(split), network.backbone)
    watch = Stopwatch()
    trainer = make_trainer(
        cfg.trainer,
        max_epochs=2,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch],
    )
    trainer.fit(make_classifier(experiment, network, {"classes": experiment.classes}), data)
    return min(watch.seconds)


def main() -> None:
    quiet()
    table = Table(title="macro precision, mean ± standard deviation over seeds")
    for column in ("data", "reading", "validation", "test", "test AUROC", "s/epoch"):
        table.add_column(column)
    for data in DATA:
        for reading in READINGS:
            found = [run(data, reading, seed) for seed in SEEDS]
            columns = [
                [metrics["val"]["precision"] for metrics in found],
                [metrics["test"]["precision"] for metrics in found],
                [metrics["test"]["auroc"] for metrics in found],
            ]
            with initialize_config_dir(str(ROOT / "conf")):
                seconds = seconds_per_epoch(compose("train", overrides(data, reading, 0)))
            cells = [f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in columns]
            table.add_row(data, reading, *cells, f"{seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
