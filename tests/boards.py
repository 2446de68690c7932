"""Offline W&B runs, read back by W&B's own reader."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.util import get_core_path


@dataclass(frozen=True)
class Board:
    """One offline run.

    folder : offline-run-TIME-ID, as W&B names it
    told : what `wandb leet inspect --summary` says: state, exit_code, config, summary, ...
    records : its log, a dict a record, with a `type` and what belongs to the type under its name
    """

    folder: Path
    told: dict[str, Any]
    records: list[dict[str, Any]]

    @property
    def start(self) -> dict[str, Any]:
        """Group, name, job type and tags."""
        return next(self.of("run"))

    @property
    def artifacts(self) -> dict[str, dict[str, Any]]:
        """Artifacts that were logged as such by name, their metadata parsed."""
        logged = [each for each in self.of("artifact") if each["type"] != "run_table"]
        return {a["name"]: a | {"metadata": json.loads(a["metadata"])} for a in logged}

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """The records of a type in their order."""
        return (record[kind] for record in self.records if record["type"] == kind)

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(epoch, value) in the order of logging."""
        rows = [record["item"] for record in self.of("history")]
        return [(row["epoch"], row[name]) for row in rows if name in row]

    def table(self, name: str) -> dict[str, Any]:
        """A logged table: columns, data."""
        path = self.folder / "files" / self.told["summary"][name]["path"]
        return json.loads(path.read_text())

    @property
    def logged(self) -> set[str]:
        """Every name that was logged: the summary has the last value of each."""
        return set(self.told["summary"])


def read_boards(folder: Path) -> list[Board]:
    """The offline runs below a folder, in the order of their start."""
    files = sorted(folder.rglob("offline-run-*/run-*.wandb"), key=lambda file: file.parent.name)
    return [Board(file.parent, _read(file, "-summary"), _records(file)) for file in files]


def _records(file: Path) -> list[dict[str, Any]]:
    return _inspect(file, lines=True)


def _read(file: Path, *flags: str) -> dict[str, Any]:
    return _inspect(file, *flags, lines=False)


def _inspect(file: Path, *flags: str, lines: bool) -> Any:
    """What `wandb leet inspect --json` prints; called without its wrapper, it uploads nothing."""
    command = [get_core_path(), "leet", "inspect", "-no-observability", "-json", *flags]
    done = subprocess.run(
        [*command, "-run-file", str(file)], check=True, capture_output=True, text=True
    )
    if lines:
        return [json.loads(line) for line in done.stdout.splitlines()]
    return json.loads(done.stdout)
