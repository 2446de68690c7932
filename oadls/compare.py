"""python -m oadls.compare cells=NAME [rows=[cnn,oadls]] [jobs=2] [KEY=VALUE ...]: Table 3.

Trains every row of conf/experiment/table3 on the same cells and folds, each in a process of its
own, and writes Table 3 and Figs. 10 and 11 of the paper into the folder. The same command again
goes on: a row that is done is read back, one that was killed or failed is tried again.

cells    : a group of conf/cells
rows     : which; all by default. Those that the folder holds already are in the table as well
jobs     : rows at a time, which share the cores; 1 by default, as their seconds are then their own
folder   : outputs/table3/CELLS by default, with -SCHEDULE where a schedule is given
costs    : false leaves out what needs a quiet machine: parameters, multiply-adds, seconds
KEY=VALUE: goes to every row, schedule=NAME for one, as python -m oadls.train takes it
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from oadls.command_line import understood
from oadls.commands import run_command
from oadls.errors import UserError
from oadls.jobs import Ending, Event, Job, run_jobs
from oadls.parallel import cores
from oadls.rows import Row, find_rows, reason, trained_before
from oadls.settings import below, outputs_folder
from oadls.streams import speak_utf8
from oadls.terminal import console
from oadls.trust import as_argument, as_names

USAGE = (
    "usage: python -m oadls.compare cells=NAME [rows=[NAME,...]] [jobs=N] [folder=PATH] "
    "[costs=false] [KEY=VALUE ...]"
)
OWN = {"cells", "rows", "jobs", "folder", "costs"}


def compare(settings: dict[str, str]) -> Path:
    """Train what is not trained, measure what it costs, write the table; returns its page.

    raises UserError that names the rows that failed, when everything else is done
    """
    more = understood([f"{k}={v}" for k, v in settings.items() if k not in OWN])
    cells = settings["cells"]
    folder = Path(settings.get("folder") or default_folder(cells, settings.get("schedule")))
    names = as_names(settings["rows"]) if "rows" in settings else None
    rows = find_rows(folder, cells, overrides=more, names=names)
    board = Board({row.name: row for row in rows})
    number = int(settings.get("jobs", "1"))
    train_rows(rows, board, number=number)
    ready = [row for row in rows if row.name not in board.faults]
    if settings.get("costs", "true") == "true":
        measure_rows(ready, board)
    from oadls.report.table3_page import write_table3  # brings torch, which no row waits for

    known = {row.name: row for row in trained_before(folder, cells, overrides=more)} | board.rows
    page = write_table3(folder, sorted(known.values(), key=lambda row: row.place), board.faults)
    if board.faults:
        failed = "; ".join(f"{name}: {why}" for name, why in board.faults.items())
        raise UserError(f"{len(board.faults)} of {len(rows)} rows failed ({failed})")
    return page


def default_folder(cells: str, schedule: str | None) -> Path:
    """Where the table of these cells goes."""
    name = f"{cells}-{schedule}" if schedule else cells
    return below(outputs_folder() / "table3", name, setting="cells, schedule")


def train_rows(rows: Sequence[Row], board: "Board", *, number: int) -> None:
    """Train the rows that are not trained, so many at a time."""
    jobs = [Job(row.folder, row.command) for row in rows]
    run_jobs(jobs, number=number, threads=max(1, cores() // number), tell=board.tell)


def measure_rows(rows: Sequence[Row], board: "Board") -> None:
    """Measure what each row costs, one after the other, nothing beside it."""

    def command(row: Row) -> list[str] | None:
        cost, metrics = row.folder / "cost.json", row.folder / "metrics.json"
        if cost.is_file() and cost.stat().st_mtime >= metrics.stat().st_mtime:
            return None
        return [sys.executable, "-m", "oadls.cost", f"folder={row.folder}", *as_argument()]

    jobs = [
        Job(row.folder.with_name(f"{row.name}-cost"), lambda row=row: command(row))  # type: ignore[misc]
        for row in rows
    ]
    run_jobs(jobs, number=1, threads=cores(), tell=board.tell)


@dataclass
class Board:
    """What the command knows of its rows, and says a line of each.

    faults : why a row failed
    """

    rows: dict[str, Row]
    faults: dict[str, str] = field(default_factory=dict)
    console: Console = field(default_factory=console)

    def tell(self, event: Event, job: Job, ending: Ending) -> None:
        """A line for what happened."""
        name = job.place.name
        if event == "ended":
            self._ended(name, job, ending)
        elif event == "waiting":
            self._say(name, "another process works on it: waiting for its end")
        else:
            self._say(name, f"started; its output is in {job.log}")

    def _ended(self, name: str, job: Job, ending: Ending) -> None:
        minutes = f"{ending.seconds / 60:.1f} min"
        if ending.fault:
            self.faults[name] = ending.fault
        elif ending.status:
            why = reason(job.log, ending)
            if name not in self.rows:  # its cost alone is not known
                self._say(name, f"not measured: {why}", "yellow")
                return
            self.faults[name] = why
        elif ending.status == 0 and name in self.rows and not self.rows[name].done:
            self.faults[name] = "it ended before it was done, as one does that is told to"
        if name in self.faults:
            self._say(name, f"failed after {minutes}: {self.faults[name]}", "red")
        else:
            self._say(name, "was done before" if ending.status is None else f"done in {minutes}")

    def _say(self, name: str, text: str, style: str = "") -> None:
        self.console.print(f"{name:28}{text}", style=style, soft_wrap=True)


def main(arguments: list[str]) -> int:
    def takes(settings: dict[str, str]) -> bool:
        switch = settings.get("costs", "true") in ("true", "false")
        number = settings.get("jobs", "1")
        right = "cells" in settings and switch and number.isdigit() and int(number) > 0
        return right and all("=" in argument for argument in arguments)

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return run_command(compare, arguments, usage=USAGE, takes=takes)


if __name__ == "__main__":
    speak_utf8()
    raise SystemExit(main(sys.argv[1:]))
