"""Sets of classes that hold the true one as often as asked, instead of one class."""

import warnings

import numpy as np


def prediction_sets(
    labels: np.ndarray, probabilities: np.ndarray, new: np.ndarray, *, coverage: float = 0.9
) -> np.ndarray:
    """Which classes cannot be ruled out: split conformal prediction, MAPIE's "lac" score.

    labels : (N,) int, probabilities : (N, K) float, rows sum to 1: validation cells, on which the
        model was not trained; new : (M, K) float
    returns (M, K) bool; a row may hold no class, when nothing is likely enough. All True when there
        are too few validation cells for the coverage: under 10 for 0.9, under 20 for 0.95
    The coverage holds on average over cells that are exchangeable with those of validation. Cells
    of new patients are not quite: it holds over many patients, not for each one.
    Source: Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers".
    """
    if len(labels) < round(max(1 / coverage, 1 / (1 - coverage)), 6):  # MAPIE's own rule
        return np.ones(new.shape, dtype=bool)
    # imported here: MAPIE takes longer to import than to run
    from mapie.classification import SplitConformalClassifier

    model = _PassThrough(probabilities.shape[1])
    conformal = SplitConformalClassifier(model, confidence_level=coverage, prefit=True)
    with warnings.catch_warnings():
        # a class without validation cells: the coverage over all cells holds all the same
        warnings.filterwarnings("ignore", "WARNING: your conformalization dataset has less labels")
        conformal.conformalize(probabilities.astype(np.float64), labels)
    _, sets = conformal.predict_set(new.astype(np.float64))  # (M, K, 1)
    return sets[:, :, 0]


class _PassThrough:
    """What MAPIE takes for a fitted classifier: its input are the probabilities already."""

    def __init__(self, classes: int) -> None:
        self.classes_ = np.arange(classes)

    def fit(self, *_: object) -> "_PassThrough":
        return self

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities.argmax(axis=1)

    def predict_proba(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities
