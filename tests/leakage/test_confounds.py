"""Fields that tell the class are found, and only when patients dealt by chance do not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from oadls.leakage.confounds import confounds, guess

CLASSES = ["normal", "all"]


def cells(*, patients: int = 20, each: int = 5) -> pd.DataFrame:
    """Every second patient has leukemia; nothing else differs."""
    patient = np.repeat([f"P{i:02d}" for i in range(patients)], each)
    number = len(patient)
    sick = np.repeat(np.arange(patients) % 2 == 1, each)
    return pd.DataFrame(
        {
            "path": [f"/images/{i}.png" for i in range(number)],
            "label": np.where(sick, "all", "normal"),
            "group": patient,
            "source": "here",
            "part": "all",
            "height": 100,
            "width": 100,
            "black_fraction": 0.0,
        }
    )


PLANTED = {
    "source": ("source", "here", "there"),
    "part": ("part", "one", "two"),
    "image size": ("height", 100, 128),
    "cut-out on black": ("black_fraction", 0.0, 0.6),
    "file ending": ("path", "/images/{}.png", "/images/{}.bmp"),
}


@pytest.mark.parametrize("field", PLANTED)
def test_a_field_that_is_the_label_is_found(field: str) -> None:
    table = cells()
    column, normal, sick = PLANTED[field]
    values = [sick if label == "all" else normal for label in table["label"]]
    if column == "path":
        values = [pattern.format(i) for i, pattern in enumerate(values)]
    table[column] = values
    (only,) = confounds(table, CLASSES, seed=0).findings
    assert only.what.startswith(f"the {field} tells")
    assert "balanced accuracy 1.00" in only.what


def test_fields_that_do_not_tell_the_class_are_no_finding() -> None:
    table = cells()
    assert confounds(table, CLASSES, seed=0).tables["confounds"].empty
    table["part"] = np.where(np.arange(len(table)) // 10 % 2, "one", "two")  # both of each class
    found = confounds(table, CLASSES, seed=0)
    assert found.tables["confounds"]["balanced_accuracy"].tolist() == [0.5]
    assert found.findings == []


def test_a_field_that_is_the_patient_is_no_finding() -> None:
    table = cells()
    table["part"] = table["group"]
    found = confounds(table, CLASSES, seed=0)
    assert found.tables["confounds"]["balanced_accuracy"].tolist() == [1.0]
    assert found.findings == []


def test_few_patients_prove_nothing_however_many_cells_they_have() -> None:
    table = cells(patients=4, each=200)
    table["source"] = table["label"]
    assert confounds(table, CLASSES, seed=0).findings == []


def test_a_field_that_tells_one_class_of_five_is_found() -> None:
    table = cells(patients=40, each=2)
    table["label"] = [f"kind{i // 2 % 5}" for i in range(len(table))]
    table["source"] = np.where(table["label"] == "kind3", "there", "here")
    (only,) = confounds(table, [f"kind{k}" for k in range(5)], seed=0).findings
    assert "tells kind3 from the rest" in only.what


def test_unlabelled_cells_and_one_class_are_passed_over() -> None:
    table = cells()
    table["source"] = table["label"]
    assert confounds(table[table["label"] == "all"], CLASSES, seed=0).findings == []
    table["label"] = table["label"].astype(object)
    table["label"] = None
    assert confounds(table, CLASSES, seed=0).findings == []


def test_the_guess_is_the_best_balanced_accuracy_of_any_rule() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.3).astype(int)
    values = rng.integers(0, 4, 200) + 2 * (labels & (rng.random(200) < 0.5))
    accuracy, _, _ = guess(values, labels, np.arange(200), permutations=9)
    rules = [[(rule >> v) & 1 for v in values] for rule in range(2**6)]
    assert accuracy == pytest.approx(max(balanced_accuracy_score(labels, r) for r in rules))


def test_p_is_uniform_where_the_field_has_nothing_to_do_with_the_class() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(24), 10)
    found = []
    for _ in range(60):
        labels = rng.permutation(np.arange(24) % 2)[group]
        values = rng.permutation(np.arange(24) % 3)[group]  # constant within a patient
        found.append(guess(values, labels, group, permutations=99)[2])
    assert np.mean(np.array(found) <= 0.1) < 0.25
    assert np.mean(found) > 0.4
