"""A support vector machine whose C and gamma generative adversarial optimization looks for."""

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_predict

from oadls.baselines.folds import inner_folds
from oadls.baselines.gao import minimise
from oadls.baselines.svm import rbf_pipeline
from oadls.baselines.tempered import Tempered
from oadls.errors import UserError
from oadls.metrics import class_scores, confusion_matrix, fitness

LOW, HIGH = (-5.0, -15.0), (15.0, 3.0)  # of log2 C and log2 gamma
FEW = 20  # cells of a class that are always looked at in the search, if there are so many
PATIENCE = 100_000  # iterations of one fit in the search; C = 2^15 on mixed classes has no end


class GaoSvm(ClassifierMixin, BaseEstimator):
    """RBF-SVM with the C and gamma of the best fitness in cross-validation of the training side.

    population, generations : of the search; it fits `folds` machines for each of
        population · (1 + 6 · generations) points
    folds : of patients where they are given, see `inner_folds`
    cells : the search looks at so many cells at most, drawn class by class; the final fit sees all
    class_weight : "balanced" or None
    """

    def __init__(
        self,
        *,
        population: int = 5,
        generations: int = 5,
        folds: int = 3,
        cells: int = 600,
        class_weight: str | None = "balanced",
        seed: int = 0,
    ) -> None:
        self.population, self.generations = population, generations
        self.folds, self.cells = folds, cells
        self.class_weight, self.seed = class_weight, seed

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> "GaoSvm":
        """X (N, D) float; y (N,) labels; groups (N,) patients, None when they are not known.

        Afterwards C_, gamma_, fitness_ (of the held-out cells) and history_ (best fitness by
        generation) tell what was found.
        """
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(f"gao_svm: two classes to tell apart, got {self.classes_.tolist()}")
        drawn = draw_cells(codes, at_most=self.cells, seed=self.seed)
        judge = self._judge(X[drawn], codes[drawn], None if groups is None else groups[drawn])
        point, loss, losses = minimise(
            lambda point: -judge(*np.exp2(point)),
            LOW,
            HIGH,
            population=self.population,
            generations=self.generations,
            seed=self.seed,
        )
        self.C_, self.gamma_ = np.exp2(point).tolist()
        self.fitness_, self.history_ = -loss, [-value for value in losses]
        best = rbf_pipeline(C=self.C_, gamma=self.gamma_, class_weight=self.class_weight)
        self.model_ = Tempered(best, seed=self.seed).fit(X, codes)
        return self

    def _judge(
        self, X: np.ndarray, codes: np.ndarray, groups: np.ndarray | None
    ) -> Callable[[float, float], float]:
        """(C, gamma) -> fitness of what is predicted for the held-out cells of all folds."""
        splits = inner_folds(codes, groups=groups, folds=self.folds, seed=self.seed)

        def judge(C: float, gamma: float) -> float:
            machine = rbf_pipeline(
                C=C, gamma=gamma, class_weight=self.class_weight, iterations=PATIENCE
            )
            with warnings.catch_warnings():  # a machine that does not converge is a poor one
                warnings.simplefilter("ignore", ConvergenceWarning)
                predicted = cross_val_predict(machine, X, codes, cv=splits)
            found = class_scores(confusion_matrix(codes, predicted, number=len(self.classes_)))
            return fitness(float(found["precision"].mean()), float(found["f1"].mean()))

        return judge

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, K), rows sum to 1, columns as in classes_."""
        return self.model_.predict_proba(X)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(N,) labels."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def draw_cells(codes: np.ndarray, *, at_most: int, seed: int) -> np.ndarray:
    """Sorted indices of about `at_most` cells: of each class the same share, `FEW` if it has them.

    codes : (N,) int class of each cell
    """
    if len(codes) <= at_most:
        return np.arange(len(codes))
    rng = np.random.default_rng(seed)
    drawn = []
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        number = max(round(len(members) * at_most / len(codes)), min(FEW, len(members)))
        drawn.append(rng.choice(members, number, replace=False))
    return np.sort(np.concatenate(drawn))
