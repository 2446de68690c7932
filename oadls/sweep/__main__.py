"""python -m oadls.sweep folder=outputs/NAME/sweep [seeds=3]: what a search found, and its worth.

Writes report.html, best trial as an experiment (experiment/NAME_tuned.yaml), trials.csv. The best
trial and the defaults are trained anew over the seeds and tested on the cells that the search has
not seen; what is trained already is read back. seeds=0 leaves the test part alone, as does a sweep
with several aims, whose Pareto front leaves the choice to the reader.
"""

import logging
import sys
from pathlib import Path

from oadls.commands import run_command
from oadls.streams import speak_utf8
from oadls.sweep.confirm import confirm
from oadls.sweep.folder import Sweep
from oadls.sweep.ready import write_experiments

SEEDS = "3"
USAGE = f"usage: python -m oadls.sweep folder=outputs/NAME/sweep [seeds={SEEDS}]"


def conclude(folder: Path, *, seeds: int) -> Path:
    """Write all that a sweep comes to; returns the page."""
    from oadls.report.sweep import write_front_report, write_sweep_report

    sweep = Sweep.read(folder)
    ready = write_experiments(sweep)
    if len(sweep.aims) > 1:
        return write_front_report(sweep, ready)
    confirmed = confirm(sweep, seeds=seeds) if seeds else None
    return write_sweep_report(sweep, confirmed, ready)


def main(arguments: list[str]) -> int:
    def takes(settings: dict[str, str]) -> bool:
        known = {"folder"} <= set(settings) <= {"folder", "seeds"}
        return known and settings.get("seeds", SEEDS).isdigit()

    def work(settings: dict[str, str]) -> None:
        seeds = int(settings.get("seeds", SEEDS))
        print(conclude(Path(settings["folder"]), seeds=seeds))

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return run_command(work, arguments, usage=USAGE, takes=takes)


if __name__ == "__main__":
    speak_utf8()
    raise SystemExit(main(sys.argv[1:]))
