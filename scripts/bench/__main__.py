"""python -m scripts.bench [PART ...]: how fast oadls is, against references measured beside it.

Prints one table, whose last lines end the output, and saves it as JSON (outputs/bench.json). Exit
status 0 when every aim is met, 1 otherwise. Needs the real images (OADLS_DATA_DIR); all parts take
some forty minutes on two cores. Nothing else should run meanwhile.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from scripts.bench.table import Row, as_markdown, rows_of, save

PARTS = ("pipeline", "trunk", "head", "store", "start", "growth")


def measure(part: str) -> list[Row]:
    """The rows of one part, in a process of its own: no part inherits threads or memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        return process.submit(rows_of, part).result()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--json", type=Path, default=Path("outputs/bench.json"))
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"PART is one of {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    rows = []
    for part in options.parts or PARTS:
        print(f"measuring {part} ...", flush=True)
        rows += measure(part)
    save(rows, options.json)
    print(as_markdown(rows))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
