"""What a row of the benchmark is, how it is timed and how it is printed."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from oadls.recipe import library_versions

LIBRARIES = ("torch", "pytorch-lightning", "timm", "numpy", "scipy", "scikit-image")
HEADINGS = ("what", "ours", "reference", "figure", "aim", "met")


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated runs of one thing."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        if len(self.seconds) < 3:
            return (max(self.seconds) - min(self.seconds)) / 2 / self.median
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median

    def __str__(self) -> str:
        return f"{show_seconds(self.median)} ±{self.spread:.0%}"


@dataclass(frozen=True)
class Row:
    """One aim and what was measured.

    what, reference : ours, and what it is compared with
    figure, unit : the number that the aim is about; `at_most` tells which side is good
    ours, theirs : the timings behind it
    checks : equality of results and whatever else has to hold for the row to count
    limit : the floor or ceiling that the machine sets, in words
    why : where the aim is missed, what stands in the way
    """

    what: str
    reference: str
    figure: float
    unit: str
    aim: float
    at_most: bool = False
    ours: Timing | None = None
    theirs: Timing | None = None
    checks: Mapping[str, bool] = field(default_factory=dict)
    limit: str = ""
    why: str = ""

    @property
    def met(self) -> bool:
        reached = self.figure <= self.aim if self.at_most else self.figure >= self.aim
        return reached and all(self.checks.values())

    @property
    def cells(self) -> list[str]:
        """Text of the columns HEADINGS."""
        sign = "≤" if self.at_most else "≥"
        return [
            self.what,
            str(self.ours or ""),
            f"{self.reference}{f': {self.theirs}' if self.theirs else ''}",
            f"{self.figure:.3g} {self.unit}",
            f"{sign} {self.aim:g}",
            "yes" if self.met else "NO",
        ]

    @property
    def notes(self) -> list[str]:
        """What does not fit in a column."""
        failed = [f"FAILED CHECK: {name}" for name, holds in self.checks.items() if not holds]
        passed = [name for name, holds in self.checks.items() if holds]
        checked = [f"checked: {'; '.join(passed)}"] if passed else []
        limit = [f"limit: {self.limit}"] if self.limit else []
        return [*failed, *checked, *limit, *([self.why] if self.why and not self.met else [])]


def rows_of(part: str) -> list[Row]:
    """What the module of a part measures."""
    rows: list[Row] = import_module(f"scripts.bench.{part}").measure()
    return rows


def alternate(
    runs: Mapping[str, Callable[[], Any]], *, repeats: int, warm: int = 1
) -> dict[str, Timing]:
    """Time several things in turn, so that a slow minute of the machine is slow for all.

    warm : rounds before the clock counts
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm + repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - start)
    return {name: Timing(values) for name, values in seconds.items()}


def ratio(slow: Timing, fast: Timing) -> float:
    """How many times `fast` goes into `slow`: the median over the rounds, which share noise."""
    return statistics.median(s / f for s, f in zip(slow.seconds, fast.seconds, strict=True))


def show_seconds(seconds: float) -> str:
    """ "12.3 ms" or "4.56 s"."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def machine() -> dict[str, Any]:
    """Where and from what the figures come."""
    root = Path(__file__).parents[2]
    commit = _output(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    changed = _output(["git", "-C", str(root), "status", "--porcelain", "-uno"])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit + (" with changes" if changed else ""),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "python": platform.python_version(),
        "libraries": library_versions(LIBRARIES),
    }


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    """Name, family and model: cloud machines hide which EPYC or Xeon they are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    pairs = [line.partition(":") for line in reversed(lines)]  # the first core's stay
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    names = ("model name", "cpu family", "model")
    name, family, model = (facts.get(key, "unknown") for key in names)
    return f"{name}, family {family} model {model}"


def save(rows: list[Row], file: Path) -> None:
    """Everything that was measured, as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "machine": machine(),
        "rows": [
            asdict(row)
            | {"met": row.met}
            | {
                name: timing and {"median": timing.median, "spread": timing.spread}
                for name, timing in {"ours": row.ours, "theirs": row.theirs}.items()
            }
            for row in rows
        ],
    }
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False), encoding="utf-8")


def as_markdown(rows: list[Row]) -> str:
    """The table, one line a row, after the notes on each row."""
    where = machine()
    libraries = ", ".join(f"{name} {release}" for name, release in where["libraries"].items())
    notes = [f"- {row.what}: {note}" for row in rows for note in row.notes]
    lines = [
        f"{where['date']}, commit {where['commit']}, {where['processor']}, "
        f"{where['cores']} cores, {where['memory_gib']} GiB, Python {where['python']}, {libraries}",
        "",
        *notes,
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + " --- |" * len(HEADINGS),
        *("| " + " | ".join(row.cells) + " |" for row in rows),
    ]
    return "\n".join(lines)
