"""The support vector machine with a radial basis function that the classical rows share."""

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def rbf_pipeline(
    *, C: float, gamma: float | str, class_weight: str | None, iterations: int = -1
) -> Pipeline:
    """Unfitted StandardScaler -> `rbf_machine`."""
    machine = rbf_machine(C=C, gamma=gamma, class_weight=class_weight, iterations=iterations)
    return make_pipeline(StandardScaler(), machine)


def rbf_machine(
    *, C: float, gamma: float | str, class_weight: str | None, iterations: int = -1
) -> SVC:
    """Unfitted RBF-SVM; has decision_function, no probabilities.

    gamma : a number, or scikit-learn's "scale" or "auto"
    class_weight : "balanced" or None
    iterations : at most so many in a fit, -1 for no limit
    """
    return SVC(
        C=C,
        gamma=gamma,
        class_weight=class_weight,
        max_iter=iterations,
        break_ties=True,  # the largest decision wins, as it does among the probabilities
    )
