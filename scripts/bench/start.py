"""From the command to the first training step, with everything in the cache."""

import subprocess
import sys

from scripts.bench.table import Row, alternate

IMPORTS = "import torch, pytorch_lightning, timm, hydra"
# runs the command as a user types it, and leaves at the first training step
FIRST_STEP = """
import os, runpy, sys
from oadls.model.classifier import Classifier
Classifier.training_step = lambda *_: (sys.stdout.flush(), os._exit(0))
runpy.run_module("oadls.train", run_name="__main__")
"""
EXPERIMENT = "+experiment=quickstart"


def measure(*, repeats: int = 7) -> list[Row]:
    """Extra seconds over the imports that any such program needs."""
    run(
        [
            sys.executable,
            "-m",
            "oadls.train",
            EXPERIMENT,
            "training.epochs=1",
            "floors=false",
            "report=false",
        ]
    )
    timings = alternate(
        {
            "first step": lambda: run([sys.executable, "-c", FIRST_STEP, EXPERIMENT]),
            "imports": lambda: run([sys.executable, "-c", IMPORTS]),
        },
        repeats=repeats,
    )
    first, imports = timings["first step"], timings["imports"]
    return [
        Row(
            what="cold start of `oadls.train +experiment=quickstart` to the first training step",
            reference=f"`{IMPORTS}`",
            figure=first.median - imports.median,
            unit="s more",
            aim=3,
            at_most=True,
            ours=first,
            theirs=imports,
        )
    ]


def run(command: list[str]) -> None:
    """A command that must succeed, without its output."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
