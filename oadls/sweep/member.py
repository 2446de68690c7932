"""A trial as a member of its study: which one it is, and on which cells it works."""

from typing import TYPE_CHECKING, Any

import optuna
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from oadls.errors import UserError
from oadls.sweep.folder import study_name
from oadls.sweep.same import CELLS, check_cells
from oadls.sweep.storage import open_storage

if TYPE_CHECKING:
    from oadls.experiment import Experiment


def own_trial(config: Any, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Trial:
    """The trial that this process runs.

    Where its study is kept comes from Hydra, not from the config, which goes into checkpoints: the
    address of a database may hold a password.

    raises UserError where no sweep has started this process
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        raise UserError("sweep: a search takes -m (python -m oadls.train -m +sweep=NAME ...)")
    fold = config.get("fold") if config.get("outer_folds") else None
    study = optuna.load_study(
        study_name=study_name(hydra.sweeper.study_name, fold),
        storage=open_storage(hydra.sweeper.storage),
        pruner=pruner,
    )
    return optuna.Trial(study, study.get_trials(deepcopy=False)[config.trial]._trial_id)


def note_cells(experiment: "Experiment") -> None:
    """Tell the study of this trial which cells it works on; OtherCells where they are not its own.

    Nothing to do outside a sweep, as for its winner, which is trained anew
    """
    if not HydraConfig.initialized():
        return
    trial = own_trial(experiment.config)
    cells = {"data_fingerprint": experiment.fingerprint, "number": len(experiment.table)}
    trial.set_user_attr(CELLS, cells)
    check_cells(trial.study, trial.number)
