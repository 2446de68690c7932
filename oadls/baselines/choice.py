"""The features that matter most to a random forest."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectorMixin


class ForestChoice(SelectorMixin, BaseEstimator):
    """Keeps the features of the highest importance in a forest, and of the forest nothing else.

    scikit-learn's SelectFromModel keeps the same features and all trees, which no prediction reads
    and which are the one part of such a file that could not be opened safely: a tree is followed
    without a look at its bounds.

    keep : features to keep, all when there are fewer
    trees : of the forest
    """

    def __init__(
        self, *, keep: int = 100, trees: int = 200, class_weight: str | None = None, seed: int = 0
    ) -> None:
        self.keep, self.trees, self.class_weight, self.seed = keep, trees, class_weight, seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "ForestChoice":
        """X (N, D) float; y (N,) labels."""
        forest = RandomForestClassifier(
            self.trees, class_weight=self.class_weight, random_state=self.seed
        )
        importance = forest.fit(X, y).feature_importances_  # (D,)
        order = np.argsort(-importance, kind="stable")
        self.n_features_in_ = X.shape[1]
        self.support_ = np.isin(np.arange(X.shape[1]), order[: self.keep])  # (D,) bool
        return self

    def _get_support_mask(self) -> np.ndarray:
        return self.support_
