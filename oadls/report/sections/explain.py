"""Where the network looks: Grad-CAM and attention on right and wrong cells."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from oadls.explain import (
    Look,
    attends,
    attends_places,
    attention_weights,
    load_network,
    look,
    share_inside,
    trunk_maps_of,
)
from oadls.report.builder import MISSING, CellPicture, Page
from oadls.report.evidence import Evidence
from oadls.report.figures import panel, plot_share_inside
from oadls.report.images import PicturesGone, need_prepared
from oadls.report.pictures import overlay
from oadls.report.sections.data import short

LOOKED_AT = 100  # cells of each kind, right and wrong
SHOWN = 6  # of each kind
OF_ATTENTION = 64  # cells of which the mean of λ is shown


def write(page: Page, evidence: Evidence) -> None:
    page.section("explain", "Where it looks")
    if not evidence.run.experiment.is_network:
        page.text("An estimator is given numbers of the whole cell: it looks at no place of it.")
        return
    try:
        looks = looks_of(evidence)
    except PicturesGone:
        _show_before(page)
        return
    shares = pd.DataFrame([_shares(i, found, evidence) for i, found in looks.items()])
    covered = float(np.mean([(found.mask > 0).mean() for found in looks.values()]))
    page.text(
        "Grad-CAM of the predicted class (as HiResCAM: every place keeps its own gradient), over "
        "every map that the head reads. A model that decides "
        "by the cell puts most of its saliency on it; one that looks at the background does not. "
        f"The cell covers {covered:.0%} of the picture on average: a map that knows nothing of the "
        "cell has that share."
    )
    groups = {
        kind: shares.loc[shares["right"] == flag, "grad_cam_inside"].dropna().to_numpy()
        for kind, flag in (("right", True), ("wrong", False))
    }
    page.figure(
        "share_inside",
        plot_share_inside(groups, covered),
        "Share of Grad-CAM that falls on the cell; bars are medians.",
    )
    page.table("share_inside", summarise(shares), "Share of the saliency that falls on the cell.")
    _write_pictures(page, evidence, looks)
    _write_attention(page, evidence)


def looks_of(evidence: Evidence) -> dict[int, Look]:
    """Look at the chosen cells; PicturesGone where images or checkpoints are not there any more."""
    chosen = choose(evidence, LOOKED_AT)
    gone = [fit.checkpoint for fit in evidence.run.fits if not fit.checkpoint.is_file()]
    if gone:
        raise PicturesGone(f"{gone[0]} is not there")
    cells = np.union1d(chosen, np.arange(min(OF_ATTENTION, len(evidence.labels))))
    keys = evidence.cells["pixels_sha256"].iloc[cells].tolist()
    need_prepared(evidence.run.experiment, keys)
    return dict(look_at(evidence, chosen))


def _show_before(page: Page) -> None:
    """What an earlier report has shown here."""
    captions = {
        "share_inside": "Share of Grad-CAM that falls on the cell; bars are medians.",
        "saliency_right": "Cells that are right: what the network saw, and its saliency.",
        "saliency_wrong": "Cells that are wrong: what the network saw, and its saliency.",
        "attention": "Attention λ, mean of the first test cells.",
    }
    shown = [page.figure_before(name, caption) for name, caption in captions.items()]
    if not any(shown):
        page.text(f"Where the network looks cannot be shown. {MISSING}")
    page.table_before("share_inside", "Share of the saliency that falls on the cell.")


def choose(evidence: Evidence, most: int) -> np.ndarray:
    """Indices of tested cells: the surest wrong ones first, then right ones at random.

    most : how many of each kind
    """
    confidence = evidence.probabilities.max(axis=1)
    wrong = np.flatnonzero(~evidence.right)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    right = np.random.default_rng(0).permutation(np.flatnonzero(evidence.right))[:most]
    return np.concatenate([wrong, right])


def look_at(evidence: Evidence, chosen: np.ndarray) -> Iterator[tuple[int, Look]]:
    """(index, Look) of each chosen cell, by the first network that tests it."""
    run = evidence.run
    tested = run.side("test").drop_duplicates("row").set_index("row")["network"]
    network_of = tested.loc[run.test["row"].to_numpy()[chosen]].to_numpy()
    for fit in run.fits:
        mine = chosen[network_of == fit.name]
        if len(mine):
            network = load_network(run.experiment, fit.checkpoint)
            keys = evidence.cells["pixels_sha256"].iloc[mine].tolist()
            yield from zip(mine.tolist(), look(run.experiment, network, keys), strict=True)


def _shares(index: int, found: Look, evidence: Evidence) -> dict[str, object]:
    attention = found.attention
    return {
        "cell": short(evidence.cells["name"][index]),
        "class": evidence.run.classes[evidence.labels[index]],
        "right": bool(evidence.right[index]),
        "cell_covers": float((found.mask > 0).mean()),
        "grad_cam_inside": share_inside(found.cam, found.mask),
        "attention_inside": np.nan if attention is None else share_inside(attention, found.mask),
    }


def summarise(shares: pd.DataFrame) -> pd.DataFrame:
    """By right and wrong: cells, mean share on the cell, share that the cell covers."""
    columns = ["cell_covers", "grad_cam_inside", "attention_inside"]
    table = shares.groupby("right")[columns].mean().reset_index()
    table.insert(1, "cells", shares.groupby("right").size().to_numpy())
    return table.dropna(axis=1, how="all")


def _write_pictures(page: Page, evidence: Evidence, looks: dict[int, Look]) -> None:
    for kind, flag in (("right", True), ("wrong", False)):
        indices = [i for i in looks if bool(evidence.right[i]) is flag][:SHOWN]
        if not indices:
            page.text(f"No {kind} test cell.")
            continue
        page.heading(f"Cells that are {kind}")
        pictures = []
        for i in indices:
            found = looks[i]
            images = [found.picture, overlay(found.picture, found.cam)]
            if found.attention is not None:
                images.append(overlay(found.picture, found.attention))
            truth, said = (
                evidence.run.classes[k[i]] for k in (evidence.labels, evidence.predicted)
            )
            share = f"{share_inside(found.cam, found.mask):.0%} of Grad-CAM on the cell"
            pictures.append(CellPicture(images, [f"{truth}, called {said}", share]))
        three = any(looks[i].attention is not None for i in indices)
        page.cells(
            f"saliency_{kind}",
            lambda pictures=pictures: pictures,  # type: ignore[misc]
            f"What the network saw, Grad-CAM{', attention λ' if three else ''}. Bright: most.",
        )


def _write_attention(page: Page, evidence: Evidence) -> None:
    """λ where it is no map over the picture, as regions × positions; else why there is none."""
    run = evidence.run
    network = load_network(run.experiment, run.fits[0].checkpoint)
    if not attends(network):
        page.text("The head of this network has no attention, so that there is no λ to show.")
        return
    if attends_places(network):
        return  # shown with the cells
    keys = evidence.cells["pixels_sha256"].head(OF_ATTENTION).tolist()
    weights = attention_weights(network, trunk_maps_of(run.experiment, network, keys))
    assert weights is not None
    figure, axis = panel(grid=False)
    image = axis.imshow(weights.mean(axis=0).T, cmap="magma", aspect="auto")
    axis.set(xlabel="region t (along the serpentine)", ylabel="position p (frequency)")
    figure.colorbar(image, ax=axis, label="mean λ")
    page.figure(
        "attention",
        figure,
        "Attention λ, mean of the first test cells. In this reading its positions are bands of "
        "channels, not places of the picture.",
    )
