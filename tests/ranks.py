"""Trainings as commands, of one process or several.

python -m tests.ranks trains as python -m oadls.train does, and stops rank zero where STOPS says.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from oadls import commands
from oadls.model.classifier import Classifier
from oadls.ranks import rank
from oadls.train import train

STOPS = "OADLS_TEST_STOPS"  # "epoch step"
ROOT = Path(__file__).parent.parent
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run python with these arguments; all that it started must have ended with it."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed = process.communicate(timeout=300)[0]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return subprocess.CompletedProcess(arguments, process.returncode, printed)


@commands.command("train")
def main(cfg: DictConfig) -> None:
    step_of = Classifier.training_step

    def stopping(self: Classifier, batch: dict, index: int) -> torch.Tensor:
        if rank() == 0 and f"{self.current_epoch} {index}" == os.environ.get(STOPS):
            os.kill(os.getpid(), signal.SIGTERM)
        return step_of(self, batch, index)

    Classifier.training_step = stopping  # type: ignore[method-assign]
    train(cfg)


if __name__ == "__main__":
    main()
