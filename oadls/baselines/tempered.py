"""Probabilities from a classifier that has only decision values, without changing its mind."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import cross_val_predict

from oadls.baselines.folds import inner_folds
from oadls.errors import UserError

COLDEST, HOTTEST = -7.0, 7.0  # natural logarithm of the temperature


class Tempered(ClassifierMixin, BaseEstimator):
    """A classifier and the temperature at which softmax of its decisions fits held-out cells.

    Platt's sigmoid, which scikit-learn recommends in the place of SVC(probability=True), moves the
    border between classes: it takes back what class_weight has given, and with a handful of cells
    of a class it may never predict that class. One temperature leaves the largest decision the
    largest probability. scikit-learn's own temperature scaling has no smoothed targets; on classes
    that are apart it falls to 0 and every probability becomes 0 or 1.

    estimator : unfitted classifier with decision_function, such as a pipeline
    folds : of cells, on whose held-out decisions the temperature is fitted
    """

    def __init__(self, estimator, *, folds: int = 5, seed: int = 0) -> None:
        self.estimator, self.folds, self.seed = estimator, folds, seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Tempered":
        """X (N, D) float; y (N,) labels of at least two classes, else UserError."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(
                f"training side: a classifier needs two classes, got {self.classes_.tolist()}"
            )
        splits = inner_folds(codes, folds=self.folds, seed=self.seed)
        held_out = cross_val_predict(
            self.estimator, X, codes, cv=splits, method="decision_function"
        )
        self.temperature_ = fit_temperature(_logits(held_out), codes)
        self.estimator_ = clone(self.estimator).fit(X, codes)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, K), rows sum to 1, columns as in classes_."""
        return softmax(_logits(self.estimator_.decision_function(X)) / self.temperature_, axis=1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(N,) labels."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def fit_temperature(logits: np.ndarray, codes: np.ndarray) -> float:
    """The temperature of least cross-entropy.

    logits (N, K); codes (N,) int, columns that are right. The targets are smoothed by one cell a
    class (Platt 1999), so that it stays finite however far the classes are apart.
    """
    number = np.bincount(codes, minlength=logits.shape[1])  # (K,) cells of each class
    truth = np.eye(logits.shape[1])[codes]  # (N, K)
    targets = (truth * number[codes][:, None] + 1) / (number[codes] + len(number))[:, None]

    def cross_entropy(log_temperature: float) -> float:
        shares = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-(targets * shares).sum())

    found = minimize_scalar(cross_entropy, bounds=(COLDEST, HOTTEST), method="bounded")
    return float(np.exp(found.x))


def _logits(decisions: np.ndarray) -> np.ndarray:
    """(N, K) of (N, K) decisions, or of (N,) for the second of two classes."""
    if decisions.ndim == 2:
        return decisions
    return np.stack([np.zeros_like(decisions), decisions], axis=1)
