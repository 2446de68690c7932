"""C-NMC 2019: fetch it, and prove that every file is the published one."""

import hashlib
import io
import logging
from pathlib import Path

import pandas as pd
from PIL import Image

from oadls.data.sources.text_table import read_text_table
from oadls.errors import UserError

log = logging.getLogger(__name__)

KAGGLE = "andrewmvd/leukemia-classification"
BY_HAND = (
    f"By hand: open https://www.kaggle.com/datasets/{KAGGLE}, press Download, unzip, and set "
    "data.root to the folder that contains C-NMC_Leukemia."
)
COUNTS = {  # images of the published set, by folder
    "training_data/fold_0/all": 2397,
    "training_data/fold_0/hem": 1130,
    "training_data/fold_1/all": 2418,
    "training_data/fold_1/hem": 1163,
    "training_data/fold_2/all": 2457,
    "training_data/fold_2/hem": 1096,
    "validation_data/C-NMC_test_prelim_phase_data": 1867,
    "testing_data/C-NMC_test_final_phase_data": 2586,
}
COPIES = (".webp", ".png")
# Resolution (dots per inch) in the headers of the published BMP files: 3779 per meter in the
# training part, none in the final test. The prelim part has a longer header that Pillow does not
# write, so that lossless copies of it cannot be checked.
RESOLUTIONS = (95.98, 0)


def download() -> Path:
    """Fetch the set with kagglehub into its own cache; UserError says how to do it by hand."""
    try:
        import kagglehub
    except ImportError as error:
        raise UserError(
            f"c_nmc: downloading needs kagglehub (pip install 'oadls[download]').\n{BY_HAND}"
        ) from error
    try:
        return Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # kagglehub raises whatever its HTTP library raises
        raise UserError(f"c_nmc: Kaggle could not be reached ({error}).\n{BY_HAND}") from error


def verify_whole(home: Path, *, manifest: Path | str | None) -> None:
    """UserError unless all files are there and, with a manifest, are the published ones."""
    found = {folder: len(list((home / folder).glob("*.*"))) for folder in COUNTS}
    wrong = [f"{f} has {found[f]} images, not {n}" for f, n in COUNTS.items() if found[f] != n]
    if wrong:
        raise UserError(f"c_nmc: the download in {home} is not whole: {'; '.join(wrong)}")
    if manifest is None:
        log.warning("c_nmc: counts are right; no manifest given, content not checked")
        return
    status = verify(home, manifest=manifest)
    bad = status[status["status"].isin(["missing", "changed", "not in the manifest"])]
    if len(bad):
        lines = "".join(f"\n  {row.path}: {row.status}" for row in bad.head(10).itertuples())
        raise UserError(f"c_nmc: {len(bad)} files in {home} are not the published ones:{lines}")


def verify(root: Path | str, *, manifest: Path | str) -> pd.DataFrame:
    """Compare files with a manifest of the published ones.

    root : the folder that contains C-NMC_Leukemia, or that folder
    manifest : tab-separated path, sha256, size of the published files; may be gzipped
    returns path (below C-NMC_Leukemia), status: "same" byte for byte, "same pixels" in a lossless
        copy, "not checkable" for copies whose original header cannot be rebuilt, "changed",
        "missing", or "not in the manifest"
    """
    home = Path(root).absolute()
    home = home / "C-NMC_Leukemia" if (home / "C-NMC_Leukemia").is_dir() else home
    table = read_text_table(manifest, source="c_nmc")
    if missing := {"path", "sha256", "size"} - set(table.columns):
        raise UserError(f"c_nmc: {manifest} has the columns path, sha256, size; {missing} missing")
    if odd := [size for size in table["size"] if not size.isdecimal()]:
        raise UserError(f"c_nmc: {manifest} gives the size of each file in bytes, not {odd[0]!r}")
    published = {
        path.removeprefix("C-NMC_Leukemia/"): (digest, int(size))
        for path, digest, size in zip(table["path"], table["sha256"], table["size"], strict=True)
    }
    status = {name: _compare(home / name, *facts) for name, facts in published.items()}
    known = {str(Path(name).with_suffix("")) for name in published}
    for path in sorted(home.glob("*_data/**/*.*")):
        if path.relative_to(home).with_suffix("").as_posix() not in known:
            status[path.relative_to(home).as_posix()] = "not in the manifest"
    result = pd.DataFrame(sorted(status.items()), columns=["path", "status"])
    log.info("c_nmc: %s", result["status"].value_counts().to_dict())
    return result


def _compare(path: Path, digest: str, size: int) -> str:
    if path.is_file():
        return "same" if _sha256(path.read_bytes()) == digest else "changed"
    copies = [path.with_suffix(e) for e in COPIES if path.with_suffix(e).is_file()]
    if not copies:
        return "missing"
    try:
        rebuilt = _rebuild_bmp(copies[0])
    except OSError:
        return "changed"
    if digest in map(_sha256, rebuilt):
        return "same pixels"
    return "changed" if len(rebuilt[0]) == size else "not checkable"


def _rebuild_bmp(path: Path) -> list[bytes]:
    """The BMP files that could have been the original of a lossless copy."""
    files = []
    with Image.open(path) as image:
        for resolution in RESOLUTIONS:
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "BMP", dpi=(resolution, resolution))
            files.append(buffer.getvalue())
    return files


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
