"""A command that is told to stop says so, ends non-zero and can be gone on with."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from oadls.commands import run_command
from oadls.stopping import SIGNALS, Stopped, stoppable
from oadls.training import same_training


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_block_with_the_status_that_a_shell_reports(
    number: signal.Signals, capsys: pytest.CaptureFixture
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stoppable():
        os.kill(os.getpid(), number)
    assert stopped.value.code == 128 + number
    assert capsys.readouterr().err.startswith(f"oadls: stopped by {number.name}; ")
    assert signal.getsignal(number) == before


def test_a_second_signal_ends_a_command_that_does_not_come_to_its_end() -> None:
    code = (
        "import os, signal\n"
        "from oadls.stopping import stoppable\n"
        "with stoppable():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('it went on')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "")


def test_commands_without_hydra_stop_in_the_same_way() -> None:
    def work(settings: dict[str, str]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run_command(work, ["run=x"], usage="", takes=lambda settings: True)


@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_the_command_that_goes_on_names_the_folder_whatever_it_is_called(name: str) -> None:
    folder = Path("/home") / name.replace("/", "-")
    given = ["+experiment=x", "seed=1", "ckpt_path=old", "hydra.run.dir=old"]
    *words, place = shlex.split(same_training(given, folder))
    assert words == ["python", "-m", "oadls.train", "+experiment=x", "seed=1"]
    (override,) = OverridesParser.create().parse_overrides([place])
    assert (override.key_or_group, override.value()) == ("ckpt_path", str(folder))
