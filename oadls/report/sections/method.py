"""What was done: the stages of a cell, what the backbone sees in it, and every setting."""

import platform

import numpy as np
import pandas as pd
import torch

from oadls.parallel import cores
from oadls.pipeline import to_uint8
from oadls.recipe import library_versions
from oadls.report.builder import CellPicture, Page
from oadls.report.evidence import Evidence
from oadls.report.pictures import heat, outlines
from oadls.report.sections.data import short
from oadls.settings import plain

LIBRARIES = ("torch", "pytorch-lightning", "timm", "numpy", "scipy", "scikit-learn", "scikit-image")
HIDDEN = ("hydra", "logger", "ckpt_path", "_target_", "_partial_")
EXAMPLES = 2  # cells of each class


def write(page: Page, evidence: Evidence) -> None:
    page.section("method", "Method")
    page.text(_steps(evidence))
    page.heading("Segmented images (Fig. 4a)")
    chosen = examples(evidence)
    page.cells(
        "stages",
        [stage_pictures(evidence, index) for index in chosen],
        "Original, Wiener filter, equalized, outlines of nucleus (blue) and cell (orange), what "
        "the network sees.",
    )
    page.heading("Extracted features (Fig. 4b)")
    _write_features(page, evidence, chosen)
    page.heading("Networks")
    page.table("fits", fits(evidence), "Every network that was trained.", digits=4)
    page.heading("Settings")
    page.table("settings", settings(evidence), "Every setting; config.yaml reproduces the run.")
    page.table("software", software(), "Software and machine that wrote this report.")


def _steps(evidence: Evidence) -> str:
    prepared = "Image → Wiener filter (eqs 1-3) → dynamic histogram equalization → marker watershed"
    chosen = "the best macro precision on validation (eqs 10-11), ties by macro F1; the test cells "
    if evidence.run.experiment.is_network:
        return (
            f"{prepared} → crop → backbone → head. The checkpoint of every network is the epoch "
            f"with {chosen}were predicted once, with that checkpoint."
        )
    return (
        f"{prepared} → numbers of the cell → {evidence.model}. Where several settings were tried, "
        f"the one with {chosen}were predicted once, with it."
    )


def examples(evidence: Evidence) -> list[int]:
    """A few tested cells of each class."""
    rng = np.random.default_rng(1)
    return [
        int(row)
        for k in range(len(evidence.run.classes))
        for row in rng.permutation(np.flatnonzero(evidence.labels == k))[:EXAMPLES]
    ]


def stage_pictures(evidence: Evidence, index: int) -> CellPicture:
    """One cell through the pipeline."""
    cell = evidence.cells.iloc[index]
    prepared = evidence.run.experiment.prepared
    stages = prepared.pipeline.stages(prepared.original(cell["path"]))
    images = [to_uint8(x) for x in (stages.original, stages.smooth, stages.equalized)]
    images.append(outlines(images[0], stages.mask))
    images.append(evidence.run.experiment.views.picture(cell["pixels_sha256"]))
    return CellPicture(images, [str(cell["label"]), short(cell["name"])])


def _write_features(page: Page, evidence: Evidence, chosen: list[int]) -> None:
    experiment = evidence.run.experiment
    if not experiment.is_network:
        numbers = experiment.inputs.read().shape[1]
        page.text(f"The estimator is given {numbers} numbers of each cell, not pictures.")
        return
    backbone = experiment.network(seed=experiment.config.seed).backbone
    if backbone.cut == 0:
        page.text("The whole backbone was trained, so that there are no fixed features to show.")
        return
    keys = evidence.cells["pixels_sha256"].iloc[chosen].tolist()
    features = experiment.features(backbone, [(key, 0) for key in keys])
    pictures = []
    for index, key in zip(chosen, keys, strict=True):
        maps = features.read((key, 0))[backbone.cover :]
        images = [_enlarge(heat(m.mean(axis=0))) for m in maps]
        pictures.append(CellPicture(images, [str(evidence.cells["label"][index])]))
    taps = ", ".join(str(tap) for tap in backbone.taps)
    page.cells(
        "features",
        pictures,
        f"Mean over the channels of the maps that the head reads ({backbone.name}, pieces {taps}).",
    )


def _enlarge(image: np.ndarray, side: int = 160) -> np.ndarray:
    """Repeat pixels, so that a small map stays a map of squares."""
    times = max(1, side // image.shape[0])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def fits(evidence: Evidence) -> pd.DataFrame:
    """network, epochs, best validation fitness, checkpoint."""
    return pd.DataFrame(
        [
            {
                "network": fit.name,
                "epochs": len(fit.history) or None,
                "best validation precision (fitness)": fit.fitness,
                "chosen of what was tried": fit.tuned or None,
                "seconds": fit.seconds,
                "checkpoint": fit.checkpoint.name,
            }
            for fit in evidence.run.fits
        ]
    ).dropna(axis=1, how="all")


def settings(evidence: Evidence) -> pd.DataFrame:
    """setting, value of the composed config, without what only starts programs."""
    rows = list(_flatten(plain(evidence.run.experiment.config)))
    return pd.DataFrame(rows, columns=["setting", "value"])


def _flatten(node, prefix: str = ""):
    for key, value in node.items():
        if key in HIDDEN:
            continue
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def software() -> pd.DataFrame:
    """name, version."""
    rows = [("python", platform.python_version()), *library_versions(LIBRARIES).items()]
    rows.append(("machine", f"{platform.system()} {platform.machine()}, {cores()} cores"))
    rows.append(("GPU", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"))
    return pd.DataFrame(rows, columns=["what", "version"])
