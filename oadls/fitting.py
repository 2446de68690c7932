"""Every fold of an experiment: fit, choose on validation, test once, or read back what is done.

Where the config has a list `tune`, each entry is fitted in each fold, and validation chooses.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from oadls.baselines.keep import read_estimator
from oadls.baselines.training import fit_estimator, predict_estimator
from oadls.data.split import Split
from oadls.errors import UserError
from oadls.experiment import Experiment
from oadls.publish import publish
from oadls.ranks import agree, rank
from oadls.run import Fit
from oadls.run_folder import RunFolder
from oadls.tracking import make_logger
from oadls.training import fit_network, make_trainer, predict_network
from oadls.trust import read_checkpoint

if TYPE_CHECKING:
    import wandb

TRIED = "tried"  # folder of the entries of `tune`
log = logging.getLogger(__name__)


def fit_all(
    experiment: Experiment, splits: list[Split], folder: Path, board: "wandb.Run | None" = None
) -> list[Fit]:
    """A fit for every split in turn; one that is finished already is read back.

    All ranks fit the same one, and rank zero alone writes.

    board : the W&B run that gets their curves
    """
    judge = None
    if experiment.config.get("trial") is not None:
        from oadls.sweep.member import note_cells  # heavy, and for the trials of a sweep alone

        note_cells(experiment)
    if experiment.config.get("pruner"):
        from oadls.sweep.trial import judge_of

        judge = judge_of(experiment.config)
        if experiment.config.get("tune"):
            raise UserError("tune: a sweep searches already; leave out one of tune and pruner")
    fits = []
    for number, split in enumerate(splits):
        log.info("fit %d of %d: %s", number + 1, len(splits), split.name)
        prefix = f"{split.name}/" if len(splits) > 1 else ""
        work = partial(fit_best, experiment, split, folder, board, prefix, [judge] if judge else [])
        fits.append(_once(folder, split.name, experiment, work))
        if rank() == 0:
            for tried in folder.glob(f"{TRIED}/*/checkpoints/{split.name}*"):
                tried.unlink()
        if judge and judge.hopeless:
            if board is not None:
                board.summary["pruned"] = True
            break
    return fits


def _once(folder: Path, name: str, experiment: Experiment, work: Callable[[], Fit]) -> Fit:
    """The fit that a folder has, else the one that `work` makes, then published there."""
    home, table, classes = RunFolder(folder), experiment.table, experiment.classes
    done = agree(home.fit(name, table, classes))
    if done is not None:  # what the file says of its place may be another's
        done = replace(done, checkpoint=folder / "checkpoints" / done.checkpoint.name)
    else:
        done = work()
        if rank() == 0:
            done = replace(done, tested=home.tested(name))
            home.write_fit(done, table, classes)
        done = agree(done)
    return done


def fit_best(
    experiment: Experiment,
    split: Split,
    folder: Path,
    board: "wandb.Run | None",
    prefix: str,
    callbacks: Sequence[Callback],
) -> Fit:
    """One fit; with `tune` the entry that is best on validation, the first of equals, is tested.

    prefix : of the names of its curves
    """
    tune = experiment.config.get("tune")
    if not tune:
        logger = make_logger(experiment.config, folder, split.name, board, prefix=prefix)
        return fit(experiment, split, folder, logger, callbacks, test=experiment.config.test)
    tried = []
    for number, entry in enumerate(tune):
        place = folder / TRIED / str(number)
        (place / "checkpoints").mkdir(parents=True, exist_ok=True)
        variant = experiment.tuned(entry)
        path = f"{prefix}tried_{number}/"
        logger = make_logger(variant.config, place, split.name, board, prefix=path)
        work = partial(fit, variant, split, place, logger, callbacks, test=False)
        tried.append(_once(place, split.name, variant, work))
    best = max(range(len(tried)), key=lambda number: tried[number].fitness)
    chosen = replace(tried[best], seconds=sum(one.seconds for one in tried), tuned=str(tune[best]))
    if experiment.config.test:
        variant = experiment.tuned(tune[best])
        if rank() == 0:
            RunFolder(folder).note_test(split.name)
        predictions = predict_split(variant, split, chosen.checkpoint)
        chosen = replace(chosen, predictions=predictions)
    kept = folder / "checkpoints" / chosen.checkpoint.name
    if rank() == 0:
        with publish(kept) as draft:  # a kill before the fit is published needs both
            shutil.copy(chosen.checkpoint, draft)
    return replace(chosen, checkpoint=kept)


def fit(
    experiment: Experiment,
    split: Split,
    folder: Path,
    logger: Logger,
    callbacks: Sequence[Callback] = (),
    *,
    test: bool,
) -> Fit:
    """Fit on the training side, choose the checkpoint on validation, predict every cell.

    test : false leaves the test part alone: only validation is predicted
    """
    if "val" not in set(split.side):
        raise UserError(
            f"split {split.name}: the checkpoint is chosen on validation, which has no cell"
        )
    if experiment.is_network:
        return fit_network(experiment, split, folder, logger, callbacks, test=test)
    return fit_estimator(experiment, split, folder, test=test)


def predict_split(experiment: Experiment, split: Split, checkpoint: Path) -> pd.DataFrame:
    """What one checkpoint says of every cell, as `Fit.predictions`."""
    sides = experiment.sides(split)
    if not experiment.is_network:
        return predict_estimator(experiment, read_estimator(checkpoint), sides)
    card = read_checkpoint(checkpoint, like=experiment.config)["oadls"]
    trainer = make_trainer(experiment.config.trainer, logger=False, enable_checkpointing=False)
    return predict_network(experiment, checkpoint, card, sides, trainer)
