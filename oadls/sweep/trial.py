"""What a trial tells its study while it trains, and hears from it."""

from typing import Any

import optuna
import pytorch_lightning as pl
from optuna.exceptions import UpdateFinishedTrialError
from pytorch_lightning.callbacks import Callback

from oadls.experiment import build
from oadls.sweep.member import own_trial
from oadls.sweep.study import PRUNED


def judge_of(config: Any) -> "Judge | None":
    """The judge of the trial that this process runs; None without a pruner."""
    if not config.get("pruner"):
        return None
    return Judge(own_trial(config, build(config.pruner)))


class Judge(Callback):
    """Ends a trial early when the study's pruner finds it hopeless beside the others.

    Each epoch reports the mean over the networks so far of their best validation fitness, by which
    the trial will be ranked. optuna-integration has such a callback for the package `lightning`,
    which reports each epoch alone.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.hopeless = trial, False
        self.best: list[float] = []  # of each network
        self.epochs = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.best.append(0.0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.best[-1] = max(self.best[-1], trainer.callback_metrics["val/fitness"].item())
        self.epochs += 1
        try:
            self.trial.report(sum(self.best) / len(self.best), step=self.epochs)
            if self.trial.should_prune():
                self.trial.set_user_attr(PRUNED, self.epochs)
                self.hopeless = trainer.should_stop = True
        except UpdateFinishedTrialError:  # taken for killed: another sweep runs it again
            self.hopeless = trainer.should_stop = True
