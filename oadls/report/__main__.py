"""python -m oadls.report run=FOLDER [against=FOLDER]: write the report of a finished run again.

against : another run on the same cells, compared cell by cell and patient by patient
"""

import sys
from pathlib import Path

import pandas as pd

from oadls.commands import run_command
from oadls.errors import UserError
from oadls.report.images import PicturesGone, need_prepared
from oadls.report.results import report_run, score_floors
from oadls.run import Run
from oadls.run_folder import RunFolder
from oadls.streams import speak_utf8

USAGE = "usage: python -m oadls.report run=FOLDER [against=FOLDER]"


def report(folder: Path, against: Path | None = None) -> Path:
    """Write metrics, tables and report.html of a finished run anew; returns the page.

    All of it comes from the run's folder: images that are gone, moved or changed alter no number.
    """
    home = RunFolder(folder)
    run, other = home.run(), None
    if against is not None:
        other = RunFolder(against).run()
        check_same_cells(run, other)
    report_run(run, page=True, against=other, floors=floors_of(home, run))
    return folder / "report.html"


def floors_of(home: RunFolder, run: Run) -> dict[str, pd.DataFrame]:
    """The trivial baselines as the run has scored them, else scored now."""
    if not run.experiment.config.get("floors"):
        return {}
    if (found := home.floors(run)) is not None:
        return found
    try:
        need_prepared(run.experiment, run.table["pixels_sha256"].tolist())
    except PicturesGone as error:
        raise UserError(
            f"report: {home.folder} has no floors.csv, and an image that it could be made from is "
            f"not what it was ({error}); set floors: false in its config.yaml to do without"
        ) from error
    return score_floors(run)


def check_same_cells(run: Run, other: Run) -> None:
    """UserError unless the other run tested every cell of this one, for the same classes."""
    mine, theirs = (
        set(each.table[["pixels_sha256", "label"]].iloc[each.test["row"]].itertuples(index=False))
        for each in (run, other)
    )
    if run.classes != other.classes:
        raise UserError(f"against: classes are {run.classes}, those of the other {other.classes}")
    if mine - theirs:
        raise UserError(
            f"against: {len(mine - theirs)} of {len(mine)} cells were not tested there, or had "
            "another label"
        )


def main(arguments: list[str]) -> int:
    def work(settings: dict[str, str]) -> None:
        against = Path(settings["against"]) if "against" in settings else None
        report(Path(settings["run"]), against)

    return run_command(
        work,
        arguments,
        usage=USAGE,
        takes=lambda settings: {"run"} <= set(settings) <= {"run", "against"},
    )


if __name__ == "__main__":
    speak_utf8()
    raise SystemExit(main(sys.argv[1:]))
