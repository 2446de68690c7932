"""A checkpoint alone -> its experiment, its network, its predictions."""

from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from oadls.baselines.keep import ENDING
from oadls.checkpoints import best_checkpoints
from oadls.data.same import what_changed
from oadls.errors import UserError
from oadls.experiment import Experiment
from oadls.patients import patient_marks
from oadls.ranks import in_turn
from oadls.run import NEW_CELLS, Fit, Run, probabilities_of
from oadls.run_folder import RunFolder
from oadls.training import make_trainer, predict_network
from oadls.trust import as_text, read_checkpoint

Card = dict[str, Any]


def load_cards(place: str) -> dict[Path, Card]:
    """Checkpoints of a run's folder, or one checkpoint, with what they say of themselves."""
    path = Path(place)
    files = [path]
    if path.is_dir():
        files = best_checkpoints(path)
    if not files or not all(file.is_file() for file in files):
        kind = " of a network" if list(path.glob(f"checkpoints/*{ENDING}")) else ""
        raise UserError(f"checkpoint: no checkpoint{kind} at {path}")
    return {file: read_checkpoint(file)["oadls"] for file in files}


def predict_again(cards: dict[Path, Card], cfg: DictConfig, folder: Path) -> Run:
    """The cells of the training run, on the sides that they had in each fold.

    raises UserError, with what changed, where they are not the cells of the training run
    """
    experiment = _open(next(iter(cards.values())), cfg)
    sides = {file: sides_on(file, card, experiment) for file, card in cards.items()}
    splits = {split.name: split for split in experiment.splits()}
    fits = []
    for file, card in cards.items():
        split = splits[card["split"]]
        predictions = _predict(experiment, file, card, sides[file], cfg)
        fits.append(_untrained(split.name, split.fold, split.repeat, predictions, file))
    return Run(experiment, fits, folder, split.protocol, split.by_image)


def sides_on(file: Path, card: Card, experiment: Experiment) -> np.ndarray:
    """(N,) str: the side that each cell had when a checkpoint was trained, "" for none.

    file : where the checkpoint is; cells are named by the run's folder that it stands in
    raises UserError for other cells than those of the training run
    """
    table = experiment.table
    if "sides" not in card:
        return _sides_as_dealt(file, card, experiment)
    if card["data_fingerprint"] != experiment.fingerprint:
        raise UserError(f"checkpoint: {file} was trained on other cells: {_change(file, table)}")
    places: dict[str, deque[str]] = defaultdict(deque)
    for side, keys in card["sides"].items():
        for key in keys:
            places[key].append(side)
    keys = table["pixels_sha256"].str[:16]
    return np.array([places[key].popleft() if places.get(key) else "" for key in keys])


def _sides_as_dealt(file: Path, card: Card, experiment: Experiment) -> np.ndarray:
    """Of an older checkpoint: the split dealt again, if it is the one that it has seen."""
    splits = {split.name: split for split in experiment.splits()}
    sides = experiment.sides(splits[card["split"]]) if card["split"] in splits else np.array([])
    keys = experiment.table["pixels_sha256"].str[:16]
    if set(keys[np.isin(sides, ["train", "val"])]) != set(card["seen"]["images"]):
        raise UserError(f"checkpoint: {file} was trained on other cells than its data hold now")
    return sides


def _change(file: Path, table: pd.DataFrame) -> str:
    """What sets a table apart from the cells that a checkpoint was trained on."""
    advice = "give it back those cells, or score others with data=NAME"
    home = RunFolder(file.absolute().parent.parent)
    found = what_changed(home.began_with, table) if home.has_splits else ""
    return f"{found or 'cells, labels or patients have changed'}; {advice}"


def predict_new(cards: dict[Path, Card], cfg: DictConfig, folder: Path) -> Run:
    """Other cells: the mean over the checkpoints that have seen neither the cell nor its patient.

    Raises UserError when every labelled cell was seen by every checkpoint
    """
    first = next(iter(cards.values()))
    experiment = _open(first, cfg, data=cfg.data)
    fits = []
    for file, card in cards.items():
        fresh = (experiment.labels >= 0) & ~seen_by(card, experiment.table)
        if fresh.any():
            predictions = _predict(experiment, file, card, np.where(fresh, "test", ""), cfg)
            fits.append(_untrained(card["split"], 0, 0, predictions, file))
    if not fits:
        raise UserError(
            f"evaluate: {cfg.data.name} has no labelled cell of a patient that the checkpoint "
            "has not seen in training"
        )
    return Run(experiment, fits, folder, NEW_CELLS, by_image=False)


def _untrained(name: str, fold: int, repeat: int, predictions: pd.DataFrame, file: Path) -> Fit:
    unknown = float("nan")
    history, place = pd.DataFrame(), file.absolute()
    return Fit(name, fold, repeat, predictions, history, unknown, place, trained=False)


def seen_by(card: Card, table: pd.DataFrame) -> np.ndarray:
    """(N,) bool: cells that the checkpoint was fitted or chosen on, or whose patient was.

    Checkpoints of before hold the patients' names instead of their marks, and no salt.
    """
    images = table["pixels_sha256"].str[:16].isin(card["seen"]["images"])
    marks = patient_marks(table, salt=card["seen"].get("salt"))
    patients = marks.isin(card["seen"]["patients"])
    groups = set(table["group"][images | patients])
    return table["group"].isin(groups).to_numpy()


def _open(card: Card, cfg: DictConfig, data: DictConfig | None = None) -> Experiment:
    """The experiment that a checkpoint was trained in, perhaps with other cells."""
    config = DictConfig(card["config"])
    if data is not None:
        config.data = OmegaConf.to_container(data, resolve=True)
        config.data.classes = [as_text(name) for name in card["classes"]]
        if data.window:  # the other source's own scale
            config.crop.window = data.window
        config.floors = False  # no cell of the new data may be fitted on
    config.name = cfg.name
    return in_turn(lambda: Experiment.open(config))


def _predict(
    experiment: Experiment, file: Path, card: Card, sides: np.ndarray, cfg: DictConfig
) -> pd.DataFrame:
    # else the metrics of the run would differ
    precision = card["config"]["trainer"].get("precision")
    trainer = make_trainer(
        cfg.trainer, precision=precision, logger=False, enable_checkpointing=False
    )
    predictions = predict_network(experiment.as_fitted(card), file, card, sides, trainer)
    assert len(probabilities_of(predictions)) == (sides != "").sum()
    return predictions
