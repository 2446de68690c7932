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
from threadpoolctl import threadpool_limits

from oadls.experiment import Experiment, build
from oadls.features import FeatureMaps, Views
from oadls.metrics import fitness, scores

Candidates = Callable[[], list]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse regularisation of the linear probe
WEIGHTS = (None, "balanced")  # of the classes


def floor_probabilities(experiment: Experiment, sides: Sequence[np.ndarray]) -> dict[str, list]:
    """Test-side probabilities of every floor: name -> one (n_test, K) array a fold."""
    area = experiment.table[["cell_area"]].to_numpy()
    inputs = {"majority": area, "cell_area": area, "linear_probe": pooled_features(experiment)}
    models = {"majority": majority, "cell_area": by_size, "linear_probe": probe}
    labels, classes = experiment.labels, experiment.classes
    return {
        name: [
            predict_test(candidates, inputs[name], labels, side, classes=classes) for side in sides
        ]
        for name, candidates in models.items()
    }


def pooled_features(experiment: Experiment, *, views: Views | None = None) -> np.ndarray:
    """(N, C) mean over positions of the frozen backbone's last map, view 0.

    views : the pictures to look at, the experiment's own by default
    """
    backbone = build(experiment.config.model.backbone, taps=[-1], train_last=0)
    maps = FeatureMaps(views or experiment.views, backbone, device=experiment.device)
    keys = [(key, 0) for key in experiment.table["pixels_sha256"]]
    maps.fill(keys)
    return np.stack([pool(maps.read(key)[-1]) for key in keys])


def pool(maps: np.ndarray) -> np.ndarray:
    """(..., C, h, w) to (..., C): the mean over positions."""
    return maps.mean(axis=(-2, -1))


def predict_test(
    candidates: Candidates,
    inputs: np.ndarray,
    labels: np.ndarray,
    side: np.ndarray,
    *,
    classes: Sequence[str],
) -> np.ndarray:
    """Fit every candidate on the training side, keep the best on validation, predict the test.

    candidates : makes the models to choose from
    inputs (N, D); labels (N,) int, index into classes; side (N,) "train", "val", "test" or ""
    returns (n_test, K)
    """
    train, val = side == "train", side == "val"
    with threadpool_limits(1):  # small problems: threads wait for each other
        fitted = [model.fit(inputs[train], labels[train]) for model in candidates()]
    best = fitted[0]
    if len(fitted) > 1 and val.any():
        best = max(fitted, key=lambda model: _fitness(model, inputs[val], labels[val], classes))
    return probabilities_by(best, inputs[side == "test"], number=len(classes))


def _fitness(model, inputs: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> float:
    found = scores(labels, probabilities_by(model, inputs, number=len(classes)), classes=classes)
    return fitness(found["precision"], found["f1"])


def probabilities_by(model, inputs: np.ndarray, *, number: int) -> np.ndarray:
    """(N, K): a class that the training side did not hold has probability 0."""
    full = np.zeros((len(inputs), number))
    full[:, model.classes_] = model.predict_proba(inputs)
    return full


def majority() -> list:
    """The commonest class of the training side."""
    return [DummyClassifier(strategy="prior")]


def by_size() -> list:
    """Logistic regressions on the logarithms of areas."""
    return [
        make_pipeline(
            FunctionTransformer(np.log1p),
            StandardScaler(),
            LogisticRegression(class_weight=weight, max_iter=1000),
        )
        for weight in WEIGHTS
    ]


def probe() -> list:
    """Logistic regressions on features of a picture, from strongly to hardly regularised."""
    return [
        make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight=weight, max_iter=2000))
        for C, weight in itertools.product(STRENGTHS, WEIGHTS)
    ]
