"""What is written about a cell, and not seen in it, that tells its class: source, part, file."""

from pathlib import Path

import numpy as np
import pandas as pd

from oadls.leakage.finding import Finding, Outcome, count
from oadls.preprocess.foreground import LEAST_SHARE

# A guess by the field alone that is right this often is what a network would learn first; between
# two equal classes .7 is nine in ten of one class where the other has half.
ACCURACY = 0.7
LEVEL = 0.01  # how rarely patients dealt to the classes by chance may give as much
PERMUTATIONS = 999
COLUMNS = ["field", "values", "told_class", "balanced_accuracy", "p"]


def confounds(table: pd.DataFrame, classes: list[str], *, seed: int) -> Outcome:
    """Fields of the table from which the class can be guessed.

    Fields: source, part, size of the image, ending of the file, whether the cell is cut out. A
    field with one value tells nothing; one that differs from patient to patient tells as much
    of any labels whatever, which the permutation shows.
    """
    known = table[table["label"].notna()].reset_index(drop=True)
    labels = known["label"].map({name: k for k, name in enumerate(classes)}).to_numpy(dtype=int)
    present = np.unique(labels)
    labels = np.searchsorted(present, labels)
    rows, findings = [], []
    for field, values in fields(known).items():
        if len(present) < 2 or values.nunique() < 2:
            continue
        accuracy, told, p = guess(values.to_numpy(), labels, known["group"].to_numpy(), seed=seed)
        name = classes[present[told]]
        rows.append((field, values.nunique(), name, accuracy, p))
        if accuracy >= ACCURACY and p < LEVEL:
            findings.append(
                Finding(
                    "confounds",
                    f"the {field} tells {name} from the rest: balanced accuracy {accuracy:.2f} "
                    f"from {count(values.nunique(), 'value')}, p = {p:.3f} over patients",
                    "a network may learn where a picture comes from instead of the disease",
                    f"compare within one {field}, or leave out what has one class only",
                )
            )
    return Outcome(findings, {"confounds": pd.DataFrame(rows, columns=COLUMNS)})


def fields(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Name of a field -> its value for each cell; those that need images only where there are."""
    found = {
        "source": table["source"],
        "part": table["part"],
        "file ending": table["path"].map(lambda path: Path(path).suffix.lower()),
    }
    if "height" in table:
        found["image size"] = table["height"].astype(str) + " x " + table["width"].astype(str)
        found["cut-out on black"] = is_cut_out(table)
    return found


def is_cut_out(table: pd.DataFrame) -> pd.Series:
    """Whether the cell stands on black: the share of `oadls.preprocess.foreground`."""
    return table["black_fraction"] >= LEAST_SHARE


def guess(
    values: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> tuple[float, int, float]:
    """How well a class is guessed from a value alone.

    values (N,) any; labels (N,) int 0 ... K - 1, each of which occurs; groups (N,) any, patients
    returns the balanced accuracy of telling a class from the rest by the commoner of the two at
        each value, for the class where it is highest; that class; and the share of permutations
        that give as much. Labels are dealt anew to whole patients (to the cells of one label of
        a patient who has several), so that the cells of a patient count as one
    """
    value = np.unique(values.astype(str), return_inverse=True)[1]
    unit, label = _units(labels, groups)
    cells = np.zeros((len(label), value.max() + 1), np.float32)  # (U, V) of each unit by value
    np.add.at(cells, (unit, value), 1)
    rng = np.random.default_rng(seed)
    dealt = np.stack([label, *(rng.permutation(label) for _ in range(permutations))])  # (P + 1, U)
    inside = [(dealt == k).astype(np.float32) @ cells for k in range(label.max() + 1)]  # (P + 1, V)
    accuracy = np.stack([_accuracy(part, cells) for part in inside])  # (K, P + 1)
    told = int(accuracy[:, 0].argmax())
    best = accuracy.max(axis=0)  # (P + 1,), the first is the labels as they are
    p = float(np.mean(best >= best[0] - 1e-6))
    return float(best[0]), told, p


def _units(labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) number of the unit of each cell, (U,) the label of each unit."""
    group = np.unique(groups.astype(str), return_inverse=True)[1]
    pairs, unit = np.unique(np.stack([group, labels]), axis=1, return_inverse=True)
    return unit.reshape(-1), pairs[1]


def _accuracy(inside: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(P, V) cells of a class at each value -> (P,) balanced accuracy of telling it by value."""
    outside = cells.sum(axis=0) - inside
    shares = (
        inside / inside.sum(axis=1, keepdims=True),
        outside / outside.sum(axis=1, keepdims=True),
    )
    return np.maximum(*shares).sum(axis=1) / 2
