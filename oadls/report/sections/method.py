"""What was done: the stages of a cell, what the backbone sees in it, and every setting."""

import platform

import numpy as np
import pandas as pd
import torch

from oadls.experiment import build
from oadls.model.backbone import Backbone
from oadls.parallel import cores
from oadls.pipeline import to_uint8
from oadls.recipe import library_versions
from oadls.report import told
from oadls.report.builder import CellPicture, Page
from oadls.report.evidence import Evidence
from oadls.report.images import is_measured, need_prepared, original, picture_seen
from oadls.report.pictures import heat, outlines
from oadls.report.sections.data import short
from oadls.trust import read_settings

LIBRARIES = ("torch", "pytorch-lightning", "timm", "numpy", "scipy", "scikit-learn", "scikit-image")
HIDDEN = ("hydra", "logger", "ckpt_path", "_target_", "_partial_")
EXAMPLES = 2  # cells of each class


def write(page: Page, evidence: Evidence) -> None:
    page.section("method", "Method")
    for text in (told.steps(evidence), told.selection(evidence), told.tested(evidence)):
        page.text(text)
    page.heading("Segmented images (Fig. 4a)")
    chosen = examples(evidence)
    page.cells(
        "stages",
        lambda: [stage_pictures(evidence, index) for index in chosen],
        stage_caption(evidence),
    )
    page.heading("Extracted features (Fig. 4b)")
    _write_features(page, evidence, chosen)
    things = "Networks" if evidence.run.experiment.is_network else "Estimators"
    trained = all(fit.trained for fit in evidence.run.fits)
    page.heading(things)
    did = "was trained" if trained else "predicted here"
    page.table("fits", fits(evidence), f"Every {things.lower()[:-1]} that {did}.", digits=4)
    page.heading("Settings")
    of = "config.yaml reproduces the run" if trained else "of the run that trained the checkpoints"
    page.table("settings", settings(evidence), f"Every setting; {of}.")
    page.table("software", software(), "Software and machine that wrote this report.")


def stage_caption(evidence: Evidence) -> str:
    """What the pictures of `stage_pictures` show, in their order."""
    config = evidence.run.experiment.config
    shown = ["original", *told.stages(config)[:-1]]
    shown.append("outlines of nucleus (blue) and cell (orange)")
    if not is_measured(config):
        shown.append(f"what {evidence.model} sees: {told.cropped(config)}")
    return "O" + ", ".join(shown)[1:] + "."


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
    experiment = evidence.run.experiment
    pipeline = experiment.prepared.pipeline
    stages = pipeline.stages(original(experiment, cell))
    shown = [stages.original]
    shown += [stages.smooth] if pipeline.smooth else []
    shown += [stages.equalized] if pipeline.equalize else []
    images = [to_uint8(x) for x in shown]
    images.append(outlines(images[0], stages.mask))
    if not is_measured(experiment.config):
        images.append(picture_seen(experiment, cell["pixels_sha256"]))
    return CellPicture(images, [str(cell["label"]), short(cell["name"])])


def _write_features(page: Page, evidence: Evidence, chosen: list[int]) -> None:
    experiment = evidence.run.experiment
    if not experiment.is_network:
        page.text("The estimator is given numbers of each cell, not pictures.")
        return
    backbone = build(experiment.config.model.backbone)
    if backbone.cut == 0:
        page.text("The whole backbone was trained, so that there are no fixed features to show.")
        return
    page.cells(
        "features",
        lambda: _feature_pictures(evidence, backbone, chosen),
        "Mean over the channels of the maps that the head reads "
        f"({backbone.name}, pieces {', '.join(str(tap) for tap in backbone.taps)}).",
    )


def _feature_pictures(
    evidence: Evidence, backbone: Backbone, chosen: list[int]
) -> list[CellPicture]:
    experiment = evidence.run.experiment
    keys = evidence.cells["pixels_sha256"].iloc[chosen].tolist()
    need_prepared(experiment, keys)
    features = experiment.features(backbone, [(key, 0) for key in keys])
    pictures = []
    for index, key in zip(chosen, keys, strict=True):
        maps = features.read((key, 0))[backbone.cover :]
        images = [_enlarge(heat(m.mean(axis=0))) for m in maps]
        pictures.append(CellPicture(images, [str(evidence.cells["label"][index])]))
    return pictures


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
    rows = list(_flatten(read_settings(evidence.run.folder / "config.yaml")))
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
