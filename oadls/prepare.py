"""python -m oadls.prepare data=NAME [export=FOLDER] [engine=ray]: fill the cache, show it."""

import functools
from collections.abc import Sequence
from pathlib import Path

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console
from rich.table import Table

from oadls.data.table import Cells
from oadls.errors import tell_user
from oadls.experiment import Experiment
from oadls.parallel import run_blocks
from oadls.pipeline import PreparedCells
from oadls.report.pictures import contact_sheet
from oadls.segment.score import score_mask


def prepare(cfg: DictConfig) -> pd.DataFrame:
    """Run the pipeline over a data set.

    returns the table of cells with their measurements, and dice_nucleus and dice_cell where the
        true masks are known
    """
    console = Console()
    experiment = Experiment.open(cfg)
    table = score_masks(experiment.table, experiment.prepared)
    print_summary(console, cfg.data.name, table, experiment.cells)
    if cfg.export:
        export(table, experiment.prepared, Path(cfg.export))
        console.print(f"Masks, images and contact sheets are in {cfg.export}", soft_wrap=True)
    return table


def score_masks(table: pd.DataFrame, prepared: PreparedCells) -> pd.DataFrame:
    """Add the Dice of nucleus and cell against the true masks, where there are any."""
    known = table["mask"].notna()
    if not known.any():
        return table
    scores = {
        row: score_mask(prepared.picture(str(key))[1], read_mask(Path(str(mask))))
        for row, key, mask in table.loc[known, ["pixels_sha256", "mask"]].itertuples(name=None)
    }
    return table.join(pd.DataFrame.from_dict(scores, orient="index").add_prefix("dice_"))


def read_mask(path: Path) -> np.ndarray:
    """(H, W) uint8 codes 0, 128, 255 from a mask file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def export(table: pd.DataFrame, prepared: PreparedCells, folder: Path) -> None:
    """Write masks/NAME.png, images/NAME.png (preprocessed) and sheets/NAME.png of every image."""
    write = functools.partial(_export, prepared=prepared, folder=folder)
    run_blocks(write, list(zip(table["path"], table["name"], strict=True)), title="Exporting")
    table.drop(columns="detail_hash").to_csv(folder / "cells.csv", index=False)


def _export(block: Sequence[tuple[str, str]], *, prepared: PreparedCells, folder: Path) -> None:
    """The pictures of each (path, name)."""
    for path, name in block:
        stages = prepared.pipeline.stages(prepared.original(path))
        sheet = contact_sheet(stages)
        pictures = {"masks": stages.mask, "images": stages.enhanced, "sheets": sheet}
        for kind, picture in pictures.items():
            file = folder / kind / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)


def print_summary(console: Console, name: str, table: pd.DataFrame, cells: Cells) -> None:
    """Cells by part and label, those that fell back, those left out, and the Dice."""
    counts = table.fillna({"label": "unlabelled"}).groupby(["part", "label"], sort=True)
    shown = Table("part", "label", "cells", "patients", "median area px²", "median N:C", title=name)
    for (part, label), group in counts:
        shown.add_row(
            str(part),
            str(label),
            str(len(group)),
            str(group["patient"].nunique() or "unknown"),
            f"{group['cell_area'].median():.0f}",
            f"{group['nc_ratio'].median():.2f}",
        )
    console.print(shown)
    for region in ("nucleus", "cell"):
        if f"dice_{region}" in table:
            dice = table[f"dice_{region}"].dropna()
            console.print(
                f"Dice {region}: mean {dice.mean():.3f}, median {dice.median():.3f}, "
                f"worst {dice.min():.3f} ({len(dice)} masks)"
            )
    fallen = table[table["note"] != ""]
    if len(fallen):
        console.print(f"{len(fallen)} cells were not segmented as meant:", style="yellow")
        for note, group in fallen.groupby("note"):
            names = ", ".join(group["name"].head(5))
            console.print(f"  {note}: {len(group)} ({names}{', …' if len(group) > 5 else ''})")
    for row in cells.excluded.itertuples():
        console.print(f"left out: {row.path}: {row.reason}", style="yellow", soft_wrap=True)


@hydra.main(config_path="../conf", config_name="prepare")
@tell_user
def main(cfg: DictConfig) -> None:
    prepare(cfg)


if __name__ == "__main__":
    main()
