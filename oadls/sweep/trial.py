"""What a trial of a sweep tells its study while it trains, and hears from it."""

from typing import Any

import optuna
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from optuna.exceptions import UpdateFinishedTrialError
from pytorch_lightning.callbacks import Callback

from oadls.errors import UserError
from oadls.experiment import Experiment, build
from oadls.sweep.folder import study_name
from oadls.sweep.same import CELLS, check_cells
from oadls.sweep.storage import open_storage
from oadls.sweep.study import PRUNED


def study_of_trial(config: Any) -> tuple[optuna.Study, int]:
    """The study whose trial this process runs, and the trial's number.

    Where the study is kept comes from Hydra, not from the config, which goes into checkpoints: the
    address of a database may hold a password.

    raises UserError where no sweep has started this process
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        raise UserError(
            "sweep: a search takes -m (python -m oadls.train -m +experiment=... +sweep=...)"
        )
    fold = config.get("fold") if config.get("outer_folds") else None
    name = study_name(hydra.sweeper.study_name, fold)
    pruner = build(config.pruner) if config.get("pruner") else None
    storage = open_storage(hydra.sweeper.storage)
    return optuna.load_study(study_name=name, storage=storage, pruner=pruner), config.trial


def note_cells(experiment: Experiment) -> None:
    """Tell the study of this trial which cells it works on; OtherCells where they are not its own.

    Nothing to do outside a sweep, as for its winner, which is trained anew
    """
    if not HydraConfig.initialized():
        return
    study, number = study_of_trial(experiment.config)
    cells = {"data_fingerprint": experiment.fingerprint, "number": len(experiment.table)}
    _trial(study, number).set_user_attr(CELLS, cells)
    check_cells(study, number)


def judge_of(config: Any) -> "Judge | None":
    """The judge of the trial that this process runs; None without a pruner."""
    if not config.get("pruner"):
        return None
    return Judge(_trial(*study_of_trial(config)))


def _trial(study: optuna.Study, number: int) -> optuna.Trial:
    return optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


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
