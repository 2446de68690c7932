"""A row of Table 3: how it is to be trained, and what became of it."""

import json
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from oadls.command_line import argument
from oadls.errors import UserError
from oadls.jobs import Ending
from oadls.report.paper import TABLE_3
from oadls.settings import fixed_settings, project_root
from oadls.trust import as_argument, read_settings

GROUP = "experiment/table3"
ERROR = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Killed)\b")


@dataclass(frozen=True)
class Row:
    """One system of the table.

    overrides : the experiment, the cells and what else the command says
    settings : the composed config as plain values; empty where it cannot be composed
    fault : why it cannot
    """

    name: str
    folder: Path
    overrides: tuple[str, ...]
    settings: dict[str, Any]
    fault: str = ""

    @property
    def place(self) -> tuple[int, bool, str]:
        """Where it stands: with the row of the paper that it is compared with, else at the end."""
        printed = self.settings.get("row", {}).get("printed") or self.name
        order = list(TABLE_3)
        number = order.index(printed) if printed in order else len(order)
        return number, printed != self.name, self.name

    @property
    def started(self) -> bool:
        """Whether a run has begun in the folder."""
        return (self.folder / "config.yaml").is_file()

    @property
    def done(self) -> bool:
        """Whether a run has ended in the folder."""
        return self.started and (self.folder / "metrics.json").is_file()

    @property
    def is_same(self) -> bool:
        """Whether the folder holds this row, trained with these settings."""
        try:
            return self.command() is None
        except UserError:
            return False

    def command(self) -> list[str] | None:
        """What trains the row, or goes on with it; None when it is trained.

        raises UserError when it cannot be composed, or the folder holds one with other settings
        """
        if self.fault:
            raise UserError(self.fault)
        if self.started:
            self.check_same()
        if self.done:
            return None
        place = str(self.folder.absolute())
        resume = [argument("ckpt_path", place)] if self.started else []
        more = [*self.overrides, *resume, argument("hydra.run.dir", place), *as_argument()]
        return [sys.executable, "-m", "oadls.train", *more]

    def check_same(self) -> None:
        """UserError that names the settings by which the folder's run differs from this row."""
        before = read_settings(self.folder / "config.yaml")
        changed = list(differences(fixed_settings(before), fixed_settings(self.settings)))
        if changed:
            raise UserError(
                f"{self.folder} was trained with other settings: {'; '.join(changed)}; "
                "give folder=ANOTHER, or move this one away"
            )


def find_rows(
    folder: Path, cells: str, *, overrides: Sequence[str], names: Sequence[str] | None = None
) -> list[Row]:
    """The rows of those names, or all, in the order of the table; UserError for an unknown one."""
    with initialize_config_dir(str(Path(project_root(), "conf"))):
        loader = GlobalHydra.instance().config_loader()
        paths = [each for each in overrides if each.startswith("hydra.searchpath=")]
        known = loader.get_group_options(GROUP, config_name="train", overrides=paths)
        if unknown := set(names or ()) - set(known):
            raise UserError(f"rows: {sorted(unknown)} are none of {sorted(known)}")
        rows = [
            _compose(name, folder / name, [f"+{GROUP}={name}", f"cells={cells}", *overrides])
            for name in (known if names is None else dict.fromkeys(names))
        ]
    return sorted(rows, key=lambda row: row.place)


def trained_before(folder: Path, cells: str, *, overrides: Sequence[str]) -> list[Row]:
    """The rows that the folder holds, trained with these very settings."""
    begun = {file.parent.name for file in folder.glob("*/metrics.json")}
    if not begun:
        return []
    rows = find_rows(folder, cells, overrides=overrides)
    return [row for row in rows if row.name in begun and row.is_same]


def _compose(name: str, folder: Path, overrides: Sequence[str]) -> Row:
    """A row, and why it is none where its settings do not go together."""
    try:
        used = tuple(_fitting(overrides))
        config = OmegaConf.to_container(compose("train", list(used)), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        why = " ".join(str(error).partition("Config search path")[0].split())
        return Row(name, folder, tuple(overrides), {}, why)
    return Row(name, folder, used, config)  # type: ignore[arg-type]


def _fitting(overrides: Sequence[str]) -> Sequence[str]:
    """The overrides without the schedule where the row has none: it is as quick as it can be."""
    others = [each for each in overrides if not each.startswith("schedule=")]
    if len(others) == len(overrides):
        return overrides
    chosen = compose("train", others, return_hydra_config=True).hydra.runtime.choices
    return overrides if "schedule" in chosen else others


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """ "training.epochs was 3, is 1" for every value that differs between two nested dicts."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{name}.{key}".lstrip(".")
            yield from differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield f"{name} was {json.dumps(before, default=str)}, is {json.dumps(now, default=str)}"


def reason(log: Path, ending: Ending) -> str:
    """Why a command failed: its message to the user, else its last error, else how it ended."""
    if ending.status is not None and ending.status < 0:
        name = signal.Signals(-ending.status).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"killed by signal {-ending.status} ({name}{hint})"
    with log.open("rb") as file:
        file.seek(ending.begin)
        lines = file.read().decode(errors="replace").splitlines()[1:]  # after the command
    lines = [line.strip() for line in lines if line.strip()]
    told = [line.removeprefix("oadls: ") for line in lines if line.startswith("oadls: ")]
    errors = [line for line in lines if ERROR.match(line)]
    return (told or errors or lines or [f"exit status {ending.status}"])[-1]
