"""The numbers that the paper prints, in per cent where it does. They are quoted, never computed."""

from collections.abc import Sequence

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


def printed(side: str, measure: str, column: str, *, classes: Sequence[str]) -> float | None:
    """A value of Table 2 in per cent; None where the paper has none: other classes, validation.

    side : "train", "val" or "test"; column : a class, or "overall"
    """
    if set(classes) != set(TABLE_1):
        return None
    return TABLE_2.get(side, {}).get(measure, {}).get(column)
