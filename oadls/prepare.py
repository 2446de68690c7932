"""python -m oadls.prepare data=NAME [export=FOLDER] [engine=ray]: fill the cache, show it."""

from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from oadls.commands import command
from oadls.data.table import Cells
from oadls.experiment import Experiment
from oadls.export import check_folder, export
from oadls.pipeline import PreparedCells
from oadls.segment.score import score_mask
from oadls.segment.truth import MaskCodes, read_codes, read_mask, warn_of_absent
from oadls.terminal import console


def prepare(cfg: DictConfig) -> pd.DataFrame:
    """Run the pipeline over a data set.

    returns the table of cells with their measurements, and dice_nucleus and dice_cell where the
        true masks are known
    """
    terminal = console()
    folder = Path(cfg.export).expanduser() if cfg.export else None
    listed = cfg.data.get("table")
    if folder is not None:
        check_folder(folder, root=cfg.data.get("root"), listed=bool(listed))
    codes = read_codes(cfg.data.get("mask_codes"))
    experiment = Experiment.open(cfg)
    table = score_masks(experiment.table, experiment.prepared, codes=codes)
    print_summary(terminal, cfg.data.name, table, experiment.cells)
    if folder is not None:
        inputs = [str(Path(listed).expanduser())] if listed else []
        export(table, experiment.prepared.pipeline, folder, inputs=inputs)
        terminal.print(f"Masks, images and contact sheets are in {folder}", soft_wrap=True)
    return table


def score_masks(table: pd.DataFrame, prepared: PreparedCells, *, codes: MaskCodes) -> pd.DataFrame:
    """Add the Dice of nucleus and cell against the true masks, where there are any.

    codes : what the masks' codes mean; a region that they do not know is not scored
    raises UserError for a mask of another size than its image, or with other codes
    """
    known = table["mask"].notna()
    if not known.any():
        return table
    scores, seen = {}, set()
    for row, key, file in table.loc[known, ["pixels_sha256", "mask"]].itertuples(name=None):
        predicted = prepared.picture(str(key))[1]
        truth = read_mask(Path(str(file)), codes=codes, shape=predicted.shape)
        seen |= set(np.unique(truth).tolist())
        found = score_mask(predicted, truth)
        scores[row] = {region: found[region] for region in codes.scored}
    warn_of_absent(seen, codes)
    return table.join(pd.DataFrame.from_dict(scores, orient="index").add_prefix("dice_"))


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


@command("prepare")
def main(cfg: DictConfig) -> None:
    prepare(cfg)


if __name__ == "__main__":
    main()
