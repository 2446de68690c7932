"""python -m oadls.sweep folder=outputs/NAME/sweep [seeds=3]: what a search found, and its worth.

Writes report.html, best trial as an experiment (experiment/NAME_tuned.yaml), trials.csv. The best
trial and the defaults are trained anew over the seeds and tested on the cells that the search has
not seen; what is trained already is read back. seeds=0 leaves the test part alone.
"""

import logging
import sys
from pathlib import Path

from oadls.errors import UserError
from oadls.sweep.confirm import confirm
from oadls.sweep.folder import Sweep, write_experiment

USAGE = "usage: python -m oadls.sweep folder=outputs/NAME/sweep [seeds=3]"


def conclude(folder: Path, *, seeds: int) -> Path:
    """Write all that a sweep comes to; returns the page."""
    from oadls.report.sweep import write_sweep_report

    sweep = Sweep.read(folder)
    ready = [write_experiment(sweep, search) for search in sweep.searches]
    confirmed = confirm(sweep, seeds=seeds) if seeds else None
    return write_sweep_report(sweep, confirmed, ready)


def main(arguments: list[str]) -> int:
    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    seeds = settings.get("seeds", "3")
    if "folder" not in settings or set(settings) - {"folder", "seeds"} or not seeds.isdigit():
        print(USAGE, file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(conclude(Path(settings["folder"]), seeds=int(seeds)))
    except UserError as error:
        print(f"oadls: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
