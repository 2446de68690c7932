"""What is printed arrives as it is, on every terminal and in every log."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.table import Table

from oadls.streams import HANDLER, accept_every_letter
from oadls.terminal import console
from tests.runs import CONF

MARKUP = ("[/b]", "[red]all", "[link=x]y", ":smile:", "[", "\\[b]", "[bold]x[/bold]", "[白]")


@pytest.mark.parametrize("name", MARKUP)
def test_a_name_is_no_markup(name: str, capsys: pytest.CaptureFixture) -> None:
    terminal, table = console(), Table("label", title=name)
    table.add_row(name)
    terminal.print(table)
    terminal.rule(name)
    terminal.print(f"Nothing found in {name}", style="yellow")
    assert capsys.readouterr().out.count(name) == 4


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "koi8-r"])
@given(st.text(st.characters()))
def test_no_letter_ends_a_command(encoding: str, text: str) -> None:
    accept_every_letter()
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=HANDLER)
    print("0.1–0.2 · a → b × c …", text, file=stream, flush=True)


def test_signs_are_drawn_in_ascii_and_letters_escaped() -> None:
    accept_every_letter()
    shown = "x · 0.1–0.2 → 白 \udcff".encode("ascii", errors=HANDLER)
    assert shown == b"x - 0.1-0.2 -> \\u767d \\udcff"


def cell(file: bytes, seed: int) -> None:
    """A dark nucleus in a cell, 48 px."""
    y, x = np.mgrid[:48, :48]
    far = np.hypot(y - 24, x - 24)
    image = np.full((48, 48, 3), 220, np.uint8)
    image[far < 15 + seed], image[far < 9] = (170, 150, 205), (90, 50, 130)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    Path(os.fsdecode(file)).write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_names_and_locales_of_all_kinds_are_prepared(
    locale: dict[str, str], tmp_path: Path
) -> None:
    home = os.fsencode(tmp_path) + "/Müller (1)".encode()
    cell(home + "/白血病/[b]é.png".encode(), 0)
    cell(home + b"/=1+1\n\x1b[31m/\xff.png", 2)
    command = [sys.executable, "-m", "oadls.prepare", "data=folder", b"data.root=" + home]
    command += [f"export={tmp_path}/out", f"hydra.run.dir={tmp_path}/run"]
    known = {"PATH": os.environ["PATH"], "OADLS_CACHE_DIR": f"{tmp_path}/cache"}
    env = {**known, "PYTHONPATH": str(CONF.parent), **locale}
    done = subprocess.run(command, capture_output=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode("ascii")
    assert "\\u767d\\u8840\\u75c5" in shown
    assert "\x1b" not in shown
    assert b"Logging error" not in done.stderr
    found = {str(file.relative_to(tmp_path / "out")) for file in tmp_path.glob("out/masks/*/*")}
    assert found == {"masks/白血病/[b]é.png", "masks/=1+1_x0a_x1b[31m/_xff.png"}
    for file in [tmp_path / "out" / "cells.csv", *tmp_path.glob("run/*.log")]:
        file.read_bytes().decode("utf-8")
