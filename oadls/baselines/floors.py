"""What a score must beat: the majority, the area of the cell, a linear probe on the same features.

Each is fitted on the training side of each fold, tuned on its validation side and scored on its
test side, like the network.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from oadls.experiment import Experiment, build
from oadls.metrics import fitness, scores

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse regularisation of the linear probe
WEIGHTS = (None, "balanced")  # of the classes


def floor_probabilities(experiment: Experiment, sides: Sequence[np.ndarray]) -> dict[str, list]:
    """Test-side probabilities of every floor: name -> one (n_test, K) array a fold."""
    area = experiment.table[["cell_area"]].to_numpy()
    found: dict[str, list] = {"majority": [], "cell_area": [], "linear_probe": []}
    pooled = pooled_features(experiment)
    for side in sides:
        found["majority"].append(_fit(_majority, area, experiment, side))
        found["cell_area"].append(_fit(_by_area, area, experiment, side))
        found["linear_probe"].append(_fit(_probe, pooled, experiment, side))
    return found


def pooled_features(experiment: Experiment) -> np.ndarray:
    """(N, C) mean over positions of the frozen backbone's last map, view 0."""
    backbone = build(experiment.config.model.backbone, taps=[-1], train_last=0)
    keys = [(key, 0) for key in experiment.table["pixels_sha256"]]
    maps = experiment.features(backbone, keys)
    return np.stack([maps.read(key)[-1].mean(axis=(1, 2)) for key in keys])


def _fit(
    candidates: Callable[[], list], inputs: np.ndarray, experiment: Experiment, side: np.ndarray
) -> np.ndarray:
    """Fit every candidate on the training side, keep the best on validation, predict the test."""
    labels, train, val = experiment.labels, side == "train", side == "val"
    fitted = [model.fit(inputs[train], labels[train]) for model in candidates()]
    best = fitted[0]
    if len(fitted) > 1 and val.any():
        best = max(
            fitted, key=lambda model: _fitness(model, inputs[val], labels[val], experiment.classes)
        )
    return _probabilities(best, inputs[side == "test"], number=len(experiment.classes))


def _fitness(model, inputs: np.ndarray, labels: np.ndarray, classes: list[str]) -> float:
    found = scores(labels, _probabilities(model, inputs, number=len(classes)), classes=classes)
    return fitness(found["precision"], found["f1"])


def _probabilities(model, inputs: np.ndarray, *, number: int) -> np.ndarray:
    """(N, K): a class that the training side did not hold has probability 0."""
    full = np.zeros((len(inputs), number))
    full[:, model.classes_] = model.predict_proba(inputs)
    return full


def _majority() -> list:
    return [DummyClassifier(strategy="prior")]


def _by_area() -> list:
    return [
        make_pipeline(
            FunctionTransformer(np.log1p),
            StandardScaler(),
            LogisticRegression(class_weight=weight, max_iter=1000),
        )
        for weight in WEIGHTS
    ]


def _probe() -> list:
    return [
        make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight=weight, max_iter=2000))
        for C, weight in itertools.product(STRENGTHS, WEIGHTS)
    ]
