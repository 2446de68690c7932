"""The permutation test of two models, one exchange of patients after the other."""

import itertools

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from oadls.metrics import SCORES, scores


def macro(labels: np.ndarray, probabilities: np.ndarray, ranks: np.ndarray) -> list[float]:
    """The macro scores; the AUROC is scikit-learn's, of ranks within each model."""
    number = probabilities.shape[1]
    found = scores(labels, probabilities, classes=[str(k) for k in range(number)])
    found["auroc"] = np.mean([roc_auc_score(labels == k, ranks[:, k]) for k in range(number)])
    return [found[name] for name in SCORES]


def swap_oracle(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """(S,) two-sided p over every way to exchange the models of whole groups."""
    models = first, second
    ranks = [np.stack([rankdata(column) for column in model.T], axis=1) for model in models]
    differences = []
    for chosen in itertools.product([False, True], repeat=len(np.unique(group))):
        swapped = np.array([chosen[g] for g in group])[:, None]
        one = macro(labels, np.where(swapped, second, first), np.where(swapped, *ranks[::-1]))
        other = macro(labels, np.where(swapped, first, second), np.where(swapped, *ranks))
        differences.append([a - b for a, b in zip(one, other, strict=True)])
    size = np.abs(differences)  # (2^G, S), the first as it was observed
    return (size >= size[0] - 1e-9).mean(axis=0)
