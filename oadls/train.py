"""python -m oadls.train +experiment=NAME: cells -> prepare -> fit -> test -> outputs/NAME/RUN."""

import shutil
from pathlib import Path

from omegaconf import DictConfig

from oadls.commands import command
from oadls.experiment import Experiment
from oadls.fitting import fit_all
from oadls.ranks import agree, in_turn, rank, together
from oadls.report.results import report_run
from oadls.run import Run
from oadls.run_folder import RunFolder
from oadls.schema import check_config
from oadls.sweep.aims import aims_of
from oadls.tracking import tracked
from oadls.training import make_trainer, open_run, run_folder, working_in
from oadls.trust import trusting


def train(cfg: DictConfig) -> float | list[float]:
    """Train into a folder of outputs on every device of the trainer (see train_in)."""
    check_config(cfg)  # before there are ranks, of which each would say what is wrong
    with trusting(cfg.get("trust")), together(make_trainer(cfg.trainer, logger=False)):
        return train_in(agree(run_folder(cfg)), cfg)


def train_in(folder: Path, cfg: DictConfig) -> float | list[float]:
    """Train every network of an experiment and write its scores, unless test=false.

    Of several ranks all train, and rank zero does the rest.

    returns the mean best validation fitness of the networks, by which a sweep ranks; with several
        `aims`, all of these
    """
    if rank() > 0:
        return _train_in(folder, cfg)
    with working_in(folder):
        open_run(folder, cfg)
        return _train_in(folder, cfg)


def _train_in(folder: Path, cfg: DictConfig) -> float | list[float]:
    with tracked(cfg, folder) as board:
        experiment = in_turn(lambda: Experiment.open(cfg, to_train=True))
        splits = experiment.splits()
        if rank() == 0:
            splits = RunFolder(folder).keep_splits(splits, experiment)
        splits = agree(splits)
        if board is not None:
            board.config["data_fingerprint"] = experiment.fingerprint
        fits = fit_all(experiment, splits, folder, board)
        run = Run(experiment, fits, folder, splits[0].protocol, splits[0].by_image)
        if rank() > 0:
            return run.fitness
        metrics = report_run(run, page=cfg.report) if cfg.test else None
        aims = aims_of(cfg.get("aims") or ["fitness"], run)
        if board is not None:
            from oadls.report.board import show_run  # heavy, as the figures that it draws on

            show_run(board, run, metrics)
            board.summary.update(aims)
    if not cfg.test:
        shutil.rmtree(folder / "checkpoints")  # a trial leaves its score: its networks are large
    values = list(aims.values())
    return values if len(values) > 1 else values[0]


@command("train")
def main(cfg: DictConfig) -> float | list[float]:
    return train(cfg)


if __name__ == "__main__":
    main()
