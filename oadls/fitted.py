"""A finished fit of a run's folder, ready to go from prepared pictures to probabilities."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oadls.baselines.floors import pool
from oadls.baselines.keep import ENDING, find_estimators, read_estimator
from oadls.checkpoints import best_checkpoints
from oadls.errors import UserError
from oadls.experiment import Experiment
from oadls.model.engine import Trunk, trunk_on
from oadls.model.network import Network
from oadls.parallel import batches
from oadls.size import multiply_adds, numbers_held, parameters
from oadls.training import make_classifier, make_trainer
from oadls.trust import read_checkpoint

BATCH = 16


@dataclass(frozen=True)
class Fitted:
    """One fitted model of a row, in the two steps that it takes.

    size : parameters, trained, and multiply_adds of a cell in all its test views, None if unknown
    look : content hashes -> features of all test views
    decide : features -> (n, K) probabilities
    test_views : over how many views a probability is averaged
    kept_views : views of a training cell whose features are cached, 0 where fitting makes them
    """

    size: dict[str, int | None]
    look: Callable[[list[str]], Any]
    decide: Callable[[Any], np.ndarray]
    test_views: int
    kept_views: int


@contextmanager
def fitted_of(experiment: Experiment, folder: Path) -> Iterator[Fitted]:
    """The first fold's model of a finished run; UserError where its folder has none."""
    estimators = find_estimators(folder / "checkpoints")
    networks = best_checkpoints(folder)
    if estimators:
        with ExitStack() as stack:
            yield _estimator(experiment, estimators[0], stack)
    elif networks:
        network, context = _load(experiment, networks[0])
        if network.backbone.cut == 0:
            yield _network(experiment, network, context, _channels_first)
            return
        with trunk_on(experiment.device, network.backbone) as trunk:
            yield _network(experiment, network, context, trunk)
    else:
        raise UserError(f"checkpoint: {folder / 'checkpoints'} has no fold_*.ckpt or {ENDING}")


def _estimator(experiment: Experiment, file: Path, stack: ExitStack) -> Fitted:
    """A scikit-learn classifier and what it is given: handcrafted, or of a frozen network."""
    estimator, inputs = read_estimator(file), experiment.inputs
    held = numbers_held(estimator)
    size: dict[str, int | None] = {"parameters": held, "trained": held, "multiply_adds": None}
    if not experiment.config.model.backbone:
        look = inputs.compute
    else:
        size["parameters"] = held + parameters(inputs.backbone)["parameters"]
        size["multiply_adds"] = multiply_adds(inputs.backbone, inputs.backbone.size)
        trunk = stack.enter_context(trunk_on(experiment.device, inputs.backbone))
        look = partial(_pooled, experiment, trunk)
    return Fitted(size, look, estimator.predict_proba, test_views=1, kept_views=1)


def _pooled(experiment: Experiment, trunk: Trunk, keys: list[str]) -> np.ndarray:
    """What `Pooled` gives, by a trunk that is made ready once: (n, C) float64."""
    views = experiment.views
    parts = [trunk(np.stack([views.picture(k) for k in part])) for part in batches(keys, BATCH)]
    return np.concatenate([pool(maps[-1]) for maps in parts]).astype(np.float64)


def _load(experiment: Experiment, file: Path) -> tuple[Network, Callable[[], Any]]:
    """The network of a checkpoint, and the context of the precision that it predicts in."""
    network = experiment.network(seed=experiment.config.seed)
    saved = read_checkpoint(file, like=experiment.config)
    make_classifier(experiment, network, saved["oadls"]).load_state_dict(saved["state_dict"])
    alone: dict[str, Any] = {"devices": 1, "strategy": "auto", "logger": False}
    trainer = make_trainer(experiment.config.trainer, enable_checkpointing=False, **alone)
    return network.eval(), trainer.precision_plugin.forward_context


def _network(
    experiment: Experiment, network: Network, context: Callable[[], Any], trunk: Trunk
) -> Fitted:
    """A network, whose trunk is run by its engine and whose trained part by torch."""
    training, size = experiment.config.training, network.backbone.size
    views = training.test_views
    facts: dict[str, int | None] = {**parameters(network)}
    facts["multiply_adds"] = views * multiply_adds(network, size)
    network.to(experiment.device)

    def look(keys: list[str]) -> list[list[np.ndarray]]:
        cells = [(key, view) for key in keys for view in range(views)]
        parts = batches(cells, BATCH)
        return [trunk(np.stack([experiment.views.picture(*c) for c in part])) for part in parts]

    def decide(batches_of_maps: list[list[np.ndarray]]) -> np.ndarray:
        with torch.inference_mode(), context():
            seen = [_probabilities(network, maps) for maps in batches_of_maps]
        found = np.concatenate(seen)  # (n * views, K)
        return found.reshape(-1, views, found.shape[1]).mean(axis=1)

    kept = max(training.views, views) if network.backbone.cut else 0
    return Fitted(facts, look, decide, test_views=views, kept_views=kept)


def _probabilities(network: Network, maps: list[np.ndarray]) -> np.ndarray:
    device = next(network.parameters()).device
    inputs = tuple(torch.from_numpy(each).to(device) for each in maps)
    return network.classify(inputs).float().softmax(dim=1).cpu().numpy()


def _channels_first(pictures: np.ndarray) -> list[np.ndarray]:
    """What a network without a frozen part is given: (B, 3, S, S) uint8."""
    return [np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))]
