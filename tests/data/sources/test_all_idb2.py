import pytest

from oadls.data.sources.all_idb2 import load
from oadls.errors import UserError


def test_all_260_cells_are_listed_with_their_labels_and_masks(data_dir):
    cells = load(root=data_dir / "all-idb2")
    assert cells.table["label"].value_counts().to_dict() == {"all": 130, "normal": 130}
    assert cells.table["mask"].notna().all()
    assert cells.table["patient"].isna().all()
    assert cells.table["name"].iloc[0] == "Im001_1"
    assert cells.table["label"].iloc[0] == "all"
    assert cells.excluded.empty


def test_the_second_annotators_masks_can_be_chosen(data_dir):
    cells = load(root=data_dir / "all-idb2", masks="masks-second-annotator")
    assert cells.table["mask"].str.contains("second").all()


def test_masks_are_optional_and_files_are_not_opened(touch):
    cells = load(root=touch("images/Im001_1.tif", "images/Im002_0.tif"))
    assert cells.table["label"].tolist() == ["all", "normal"]
    assert cells.table["mask"].tolist() == [None, None]


def test_another_file_name_is_left_out_and_recorded(touch):
    cells = load(root=touch("images/Im001_1.png", "images/Im002_2.png"))
    assert len(cells.table) == 1
    assert "Im<number>_<0 or 1>" in cells.excluded["reason"].item()


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="images, there is none"):
        load(root=tmp_path)
