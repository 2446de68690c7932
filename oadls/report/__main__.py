"""python -m oadls.report run=FOLDER [against=FOLDER]: write the report of a finished run again.

against : another run on the same cells, compared cell by cell and patient by patient
"""

import sys
from pathlib import Path

from oadls.commands import run_command
from oadls.errors import UserError
from oadls.report.results import report_run
from oadls.run import Run, read_run
from oadls.streams import speak_utf8

USAGE = "usage: python -m oadls.report run=FOLDER [against=FOLDER]"


def report(folder: Path, against: Path | None = None) -> Path:
    """Write metrics, tables and report.html of a finished run anew; returns the page."""
    run, other = read_run(folder), None
    if against is not None:
        other = read_run(against)
        check_same_cells(run, other)
    report_run(run, page=True, against=other)
    return folder / "report.html"


def check_same_cells(run: Run, other: Run) -> None:
    """UserError unless the other run tested every cell of this one, for the same classes."""
    mine, theirs = (
        set(each.table["pixels_sha256"].iloc[each.test["row"]]) for each in (run, other)
    )
    if run.classes != other.classes:
        raise UserError(f"against: classes are {run.classes}, those of the other {other.classes}")
    if mine - theirs:
        raise UserError(f"against: {len(mine - theirs)} of {len(mine)} cells were not tested there")


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
