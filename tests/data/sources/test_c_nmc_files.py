import gzip
import hashlib
import shutil
import sys
from types import ModuleType

import pandas as pd
import pytest
from PIL import Image

from oadls.data.sources import c_nmc_files
from oadls.data.sources.c_nmc_files import download, verify, verify_whole
from oadls.errors import UserError

FOLD = "C-NMC_Leukemia/training_data/fold_0/all"


def write_manifest(root, paths):
    rows = ["path\tsha256\tsize"]
    for path in paths:
        content = path.read_bytes()
        name = path.relative_to(root).as_posix()
        rows.append(f"{name}\t{hashlib.sha256(content).hexdigest()}\t{len(content)}")
    with gzip.open(root / "manifest.tsv.gz", "wt") as file:
        file.write("\n".join(rows))
    return root / "manifest.tsv.gz"


def status_of(root, manifest):
    table = verify(root, manifest=manifest)
    return dict(zip(table["path"].str.split("/").str[-1], table["status"], strict=True))


def test_every_kind_of_difference_is_told_apart(draw, tmp_path):
    paths = [draw(f"{FOLD}/{n}.bmp", (n, 0, 0), dpi=(95.98, 95.98)) for n in range(6)]
    manifest = write_manifest(tmp_path, paths)
    for n in (1, 2, 3):
        with Image.open(paths[n]) as image:
            image.save(paths[n].with_suffix(".webp"), lossless=True)
        paths[n].unlink()
    draw(f"{FOLD}/2.webp", (99, 0, 0), lossless=True)  # other pixels
    shutil.copy(paths[0], paths[0].with_name("extra.bmp"))
    paths[3].with_suffix(".webp").write_bytes(b"cut short")
    paths[4].write_bytes(paths[4].read_bytes()[:-1])
    paths[5].unlink()
    assert status_of(tmp_path, manifest) == {
        "0.bmp": "same",
        "1.bmp": "same pixels",
        "2.bmp": "changed",
        "3.bmp": "changed",
        "4.bmp": "changed",
        "5.bmp": "missing",
        "extra.bmp": "not in the manifest",
    }


def test_a_copy_whose_header_cannot_be_rebuilt_is_not_called_the_same(draw, tmp_path):
    path = draw(f"{FOLD}/0.bmp")
    path.write_bytes(path.read_bytes() + b"a longer header")
    manifest = write_manifest(tmp_path, [path])
    path.unlink()
    draw(f"{FOLD}/0.webp", lossless=True)
    assert status_of(tmp_path, manifest) == {"0.bmp": "not checkable"}


def test_real_copies_have_the_pixels_of_the_published_files(data_dir, tmp_path):
    source = data_dir / "c-nmc"
    manifest = pd.read_csv(source / "full-manifest.tsv.gz", sep="\t")
    wanted = ["fold_1/all/UID_16_11_1_all", "fold_0/hem/UID_H24_23_8_hem", "final_phase_data/1"]
    wanted += ["prelim_phase_data/8"]
    chosen = manifest[manifest["path"].str.removesuffix(".bmp").str.endswith(tuple(wanted))]
    chosen.to_csv(tmp_path / "few.tsv", sep="\t", index=False)
    for name in chosen["path"].str.replace(".bmp", ".webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, tmp_path / name)
    status = status_of(tmp_path, tmp_path / "few.tsv")
    assert status.pop("8.bmp") == "not checkable"
    assert status == dict.fromkeys(
        ["UID_16_11_1_all.bmp", "UID_H24_23_8_hem.bmp", "1.bmp"], "same pixels"
    )


def test_a_whole_set_passes_and_a_changed_file_does_not(draw, tmp_path, monkeypatch):
    monkeypatch.setattr(c_nmc_files, "COUNTS", {"training_data/fold_0/all": 1})
    path = draw(f"{FOLD}/0.bmp")
    manifest = write_manifest(tmp_path, [path])
    verify_whole(tmp_path / "C-NMC_Leukemia", manifest=manifest)
    path.write_bytes(b"changed")
    with pytest.raises(UserError, match=r"fold_0/all/0\.bmp: changed"):
        verify_whole(tmp_path / "C-NMC_Leukemia", manifest=manifest)


def test_an_incomplete_manifest_is_refused(tmp_path):
    (tmp_path / "m.tsv").write_text("path\tsize\n")
    with pytest.raises(UserError, match="sha256"):
        verify(tmp_path, manifest=tmp_path / "m.tsv")


def test_without_kagglehub_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install 'oadls\[download\]'") as error:
        download()
    assert "data.root" in str(error.value)


def test_without_network_the_error_says_how_to_do_it_by_hand(monkeypatch):
    def unreachable(name):
        raise ConnectionError("no route to host")

    module = ModuleType("kagglehub")
    module.dataset_download = unreachable
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    with pytest.raises(UserError, match="no route to host") as error:
        download()
    assert "kaggle.com/datasets/andrewmvd/leukemia-classification" in str(error.value)
