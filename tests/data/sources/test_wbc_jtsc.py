import pytest

from oadls.data.sources.wbc_jtsc import load
from oadls.errors import UserError


def test_all_300_cells_of_five_kinds_are_listed_with_masks(data_dir):
    cells = load(root=data_dir / "wbc-jtsc")
    kinds = cells.table["label"].value_counts().to_dict()
    wanted = {"neutrophil": 176, "lymphocyte": 53, "monocyte": 48, "eosinophil": 22}
    assert kinds == wanted | {"basophil": 1}
    assert cells.table["mask"].notna().all()
    assert cells.table.set_index("name")["label"][["001", "002"]].tolist() == [
        "lymphocyte",
        "neutrophil",
    ]


def labels(root, text):
    (root / "class-labels.csv").write_text("image ID,class label\n" + text)
    return root


def test_labels_and_images_without_the_other_are_recorded(touch):
    root = labels(touch("images/001.png", "images/002.png"), "1,2\n7,3\n")
    cells = load(root=root)
    assert cells.table["label"].tolist() == ["lymphocyte"]
    assert sorted(cells.excluded["reason"]) == [
        "a label in class-labels.csv without an image",
        "no label in class-labels.csv",
    ]


@pytest.mark.parametrize("text", ["1,6\n", "1,1\n1,2\n"])
def test_an_impossible_label_file_is_refused(touch, text):
    with pytest.raises(UserError, match="once a class of 1 to 5"):
        load(root=labels(touch("images/001.png"), text))


def test_a_missing_label_file_is_named(touch):
    with pytest.raises(UserError, match=r"class-labels\.csv, which is not there"):
        load(root=touch("images/001.png"))
