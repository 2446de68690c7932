"""The numbers that the paper prints, in per cent where it does. They are quoted, never computed."""

from collections.abc import Callable, Sequence
from itertools import product

TABLE_1 = {"normal": 1927, "all": 1948}

MEASURES = ("accuracy", "precision", "sensitivity", "specificity", "f1")

TABLE_2 = {  # side -> measure -> class or overall
    "train": {
        "accuracy": {"normal": 98.29, "all": 98.29, "overall": 98.29},
        "precision": {"normal": 97.91, "all": 98.65, "overall": 98.28},
        "sensitivity": {"normal": 98.62, "all": 97.96, "overall": 98.29},
        "specificity": {"normal": 97.96, "all": 98.62, "overall": 98.29},
        "f1": {"normal": 98.26, "all": 98.31, "overall": 98.29},
    },
    "test": {
        "accuracy": {"normal": 97.67, "all": 97.67, "overall": 97.67},
        "precision": {"normal": 96.99, "all": 98.42, "overall": 97.70},
        "sensitivity": {"normal": 98.55, "all": 96.71, "overall": 97.63},
        "specificity": {"normal": 96.71, "all": 98.55, "overall": 97.63},
        "f1": {"normal": 97.77, "all": 97.56, "overall": 97.66},
    },
}


TABLE_3 = {  # row -> measure; most are other papers' own, measured on other data
    "cnn": dict(zip(MEASURES, (88.25, 88.72, 92.43, 89.18, 91.77), strict=True)),
    "vit": dict(zip(MEASURES, (88.20, 91.70, 92.44, 93.24, 87.76), strict=True)),
    "cnn_eca": dict(zip(MEASURES, (91.10, 90.85, 91.74, 89.56, 92.49), strict=True)),
    "gao_svm": dict(zip(MEASURES, (93.84, 89.01, 91.82, 91.67, 88.22), strict=True)),
    "svm_cell_energy": dict(zip(MEASURES, (94.00, 92.20, 91.32, 88.99, 93.88), strict=True)),
    "vgg16": dict(zip(MEASURES, (87.30, 86.40, 96.70, 89.57, 91.30), strict=True)),
    "densenet121": dict(zip(MEASURES, (89.00, 90.50, 93.70, 90.70, 92.10), strict=True)),
    "mobilenetv2": dict(zip(MEASURES, (87.80, 88.30, 94.60, 91.60, 91.30), strict=True)),
    "inceptionv3": dict(zip(MEASURES, (84.00, 87.10, 89.80, 91.27, 88.40), strict=True)),
    "oadls": dict(zip(MEASURES, (98.29, 98.28, 98.29, 98.29, 98.29), strict=True)),
}


def printed(side: str, measure: str, column: str, *, classes: Sequence[str]) -> float | None:
    """A value of Table 2 in per cent; None where the paper has none: other classes, validation.

    side : "train", "val" or "test"; column : a class, or "overall"
    """
    if set(classes) != set(TABLE_1):
        return None
    return TABLE_2.get(side, {}).get(measure, {}).get(column)


def contradictions(row: dict[str, float], *, rounding: float = 0.06) -> dict[str, str]:
    """Printed scores of a row that cannot be of one table of two classes with its other scores.

    row : the five measures in per cent; rounding : by how much each may be off, as some papers
        print one decimal
    returns measure -> what the others say: the accuracy is a mean of sensitivity and specificity,
        weighted by the cells of each class, and lies between them; precision and sensitivity give
        the F1, and with the accuracy the specificity
    """
    found = {}
    low, high = sorted((row["sensitivity"], row["specificity"]))
    if not low - rounding <= row["accuracy"] <= high + rounding:
        found["accuracy"] = f"lies outside sensitivity and specificity, {low:.2f} to {high:.2f}"
    if not _within(row, "f1", implied_f1, rounding):
        found["f1"] = f"{implied_f1(row):.2f} by precision and sensitivity"
    if not _within(row, "specificity", implied_specificity, rounding):
        given = implied_specificity(row)
        found["specificity"] = f"{given:.2f} by accuracy, precision and sensitivity"
    return found


def implied_f1(row: dict[str, float]) -> float:
    """The harmonic mean of precision and sensitivity, in per cent."""
    precision, sensitivity = row["precision"], row["sensitivity"]
    return 2 * precision * sensitivity / (precision + sensitivity)


def implied_specificity(row: dict[str, float]) -> float:
    """The specificity of the table of two classes that the other scores give, in per cent.

    With a share s of positive cells, sensitivity t and precision p, false positives are
    f = s t (1 - p) / p of all cells, and 1 - accuracy = s (1 - t) + f.
    """
    accuracy, precision, sensitivity = (
        row[name] / 100 for name in ("accuracy", "precision", "sensitivity")
    )
    ratio = sensitivity * (1 - precision) / precision
    share = (1 - accuracy) / (1 - sensitivity + ratio)
    return 100 * (1 - share * ratio / (1 - share))


def _within(
    row: dict[str, float], name: str, implied: Callable[[dict[str, float]], float], rounding: float
) -> bool:
    """Whether what is printed may be what the other scores imply, each off by its rounding."""
    others = [key for key in MEASURES if key != name]
    ends = [
        implied(row | {k: row[k] + sign * rounding for k, sign in zip(others, signs, strict=True)})
        for signs in product((-1, 1), repeat=len(others))
    ]
    return min(ends) - rounding <= row[name] <= max(ends) + rounding
