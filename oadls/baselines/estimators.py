"""The classifiers of the classical rows, unfitted: fit(X, y), predict_proba(X), classes_.

X is (N, D) float64, y (N,) int. Each standardises its features on what it is fitted on.
`gao_svm` also takes the patients: fit(X, y, groups).
"""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from oadls.baselines.choice import ForestChoice
from oadls.baselines.gao_svm import GaoSvm
from oadls.baselines.svm import rbf_pipeline
from oadls.baselines.tempered import Tempered
from oadls.errors import UserError

BALANCED = "balanced"


def rbf_svm(
    *,
    C: float = 1.0,
    gamma: float | str = "scale",
    class_weight: str | None = BALANCED,
    seed: int,
) -> Tempered:
    """RBF-SVM with probabilities.

    class_weight : "balanced" or None
    seed : of the folds on which the probabilities are fitted
    """
    _positive("rbf_svm", C=C)
    return Tempered(rbf_pipeline(C=C, gamma=gamma, class_weight=class_weight), seed=seed)


def selected_svm(
    *,
    keep: int = 100,
    trees: int = 200,
    C: float = 1.0,
    gamma: float | str = "scale",
    class_weight: str | None = BALANCED,
    seed: int,
) -> Tempered:
    """RBF-SVM on the features that matter most to a random forest (ResRandSVM, Sulaiman 2023).

    keep : features to keep, all when there are fewer
    trees : of the forest
    The probabilities are fitted on three folds in which the features are chosen again: chosen on
    all cells they would look better there than they are.
    """
    _positive("selected_svm", keep=keep, trees=trees, C=C)
    choice = ForestChoice(keep=keep, trees=trees, class_weight=class_weight, seed=seed)
    machine = rbf_pipeline(C=C, gamma=gamma, class_weight=class_weight)
    chain = Pipeline([("scale", StandardScaler()), ("select", choice), ("svm", machine)])
    return Tempered(chain, folds=3, seed=seed)


def gao_svm(
    *,
    population: int = 5,
    generations: int = 5,
    folds: int = 3,
    cells: int = 600,
    class_weight: str | None = BALANCED,
    seed: int,
) -> GaoSvm:
    """RBF-SVM tuned by generative adversarial optimization within its training side."""
    _positive("gao_svm", population=population, generations=generations, cells=cells)
    if folds < 2:
        raise UserError(f"gao_svm: folds must be at least 2, got {folds}")
    return GaoSvm(
        population=population,
        generations=generations,
        folds=folds,
        cells=cells,
        class_weight=class_weight,
        seed=seed,
    )


def logistic(*, C: float = 1.0, class_weight: str | None = BALANCED, seed: int) -> Pipeline:
    """Logistic regression, the linear probe.

    C : inverse strength of the regularisation
    """
    _positive("logistic", C=C)
    regression = LogisticRegression(
        C=C, class_weight=class_weight, max_iter=2000, random_state=seed
    )
    return make_pipeline(StandardScaler(), regression)


def _positive(estimator: str, **settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise UserError(f"{estimator}: {name} must be above 0, got {value}")
