"""The support vector machine with a radial basis function that the classical rows share."""

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def rbf_pipeline(
    *, C: float, gamma: float | str, class_weight: str | None, iterations: int = -1
) -> Pipeline:
    """Unfitted StandardScaler -> RBF-SVM; has decision_function, no probabilities.

    gamma : a number, or scikit-learn's "scale" or "auto"
    iterations : at most so many in a fit, -1 for no limit
    """
    machine = SVC(
        C=C,
        gamma=gamma,
        class_weight=class_weight,
        max_iter=iterations,
        break_ties=True,  # the largest decision wins, as it does among the probabilities
    )
    return make_pipeline(StandardScaler(), machine)
