"""Whatever a name is, its file lies below the folder, alone in its place, and its text is inert."""

import os
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from oadls.errors import UserError
from oadls.names import places, printable
from oadls.schema import check_config
from oadls.settings import below
from tests.runs import composed

AWKWARD = ["..", ".", "", "~", "a", "A", "a.png", "A.PNG", "b.", "b", "CON", "nul.txt", "/", "//"]
AWKWARD += ["é", "e\u0301", "ß", "ss", "\u212a", "k", "x\ny", "x\\ny", "C:\\x", "x" * 300, "-rf"]
AWKWARD += ["\udcff", "\\xff", "\ud800", "a\u200db", "ab", "a-0123456789abcdef", "💉", "白" * 90]
PARTS = st.sampled_from(AWKWARD) | st.text(st.characters(), max_size=6)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.text(st.characters())
SETS = st.lists(NAMES, min_size=1, max_size=12, unique=True)


def one_to_some_file_system(place: PurePosixPath) -> str:
    """As macOS compares names, which is the coarsest."""
    text = str(place).replace("\u200d", "").replace("\u200c", "")
    return unicodedata.normalize("NFKD", text.casefold()).casefold()


@given(SETS)
def test_no_name_leads_out_of_the_folder_or_to_the_place_of_another(names: list[str]) -> None:
    found = places(names, suffix=".png")
    assert len(found) == len(names)
    taken = {unicodedata.normalize("NFC", one_to_some_file_system(place)) for place in found}
    assert len(taken) == len(names)
    home = os.path.abspath("/home/out")
    for place in found:
        assert os.path.normpath(f"{home}/{place}") == f"{home}/{place}"
        assert place.suffix == ".png"
        assert all(0 < len(part.encode()) <= 255 for part in place.parts)
        assert not {".png"} & {Path(part).suffix.lower() for part in place.parts[:-1]}


@given(names=SETS)
def test_every_file_can_be_written_and_read(names: list[str], tmp_path_factory) -> None:
    home = tmp_path_factory.mktemp("places")
    found = places(names, suffix=".png")
    for number, place in enumerate(found):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_text(str(number))
    assert [int((home / place).read_text()) for place in found] == list(range(len(names)))
    assert len([file for file in home.rglob("*") if file.is_file()]) == len(names)


def test_a_plain_name_is_its_place() -> None:
    names = ["UID_H12_1_1_hem", "all/Im001_1", "blood (1)/x=3 #2", "Müller/白血病", "a.b/c.d"]
    assert places(names, suffix=".png") == [PurePosixPath(f"{name}.png") for name in names]


def test_names_outside_the_folder_come_below_it() -> None:
    names = ["/home/me/cells/a", "../../a", "home/me/cells/a"]
    found = [str(place) for place in places(names, suffix=".png")]
    assert found[1] == "a.png"
    assert all(place.startswith("home/me/cells/a-") for place in found[::2])


@given(SETS)
def test_a_name_that_looks_marked_takes_no_other_s_place(names: list[str]) -> None:
    first = [str(place.with_suffix("")) for place in places(names, suffix=".png")]
    both = list(dict.fromkeys([*names, *first]))
    found = places(both, suffix=".png")
    assert len(set(map(str, found))) == len(both)


@given(st.text(st.characters()))
def test_a_printed_name_does_nothing(text: str) -> None:
    shown = printable(text)
    shown.encode()  # no byte that is no text
    assert len(shown.splitlines()) <= 1
    for letter in shown:
        joins = letter in "\u200c\u200d"
        assert joins or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"])))
def test_letters_of_every_script_stay(text: str) -> None:
    assert printable(text) == text


def test_controls_are_shown_and_bytes_of_utf_8_are_letters_in_every_locale() -> None:
    assert printable("a\n\x1b[31m\u202eb") == "a\\x0a\\x1b[31m\\u202eb"
    assert printable("cell\udcff") == "cell\\xff"
    assert printable("Müller".encode().decode("ascii", errors="surrogateescape")) == "Müller"


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "", "a//b", ".", "a\nb", "x" * 300, "\udcff"]
)
def test_a_run_s_name_leads_nowhere_else(name: str) -> None:
    with pytest.raises(UserError, match="name: the name of a folder in"):
        below(Path("outputs"), name, setting="name")


@pytest.mark.parametrize("entry", ["train", "prepare", "audit"])
def test_no_command_makes_a_folder_elsewhere(entry: str) -> None:
    for settings in (("name=../../x",), ("name=/x",)):
        config = composed(entry, *settings, hydra=True)
        with pytest.raises(UserError, match="name: the name of a folder in"):
            check_config(config)
    for node in ("run", "sweep"):
        config = composed("train", "name=../../x", hydra=True)
        with pytest.raises(InterpolationResolutionError, match="name: the name of a folder in"):
            OmegaConf.select(config, f"hydra.{node}.dir")


@given(st.lists(PARTS, min_size=1, max_size=4).map("/".join))
def test_what_passes_is_below(name: str) -> None:
    try:
        place = below(Path("/outputs"), name, setting="name")
    except UserError:
        return
    assert os.path.normpath(place) == str(place)
    assert str(place).startswith("/outputs/")


def test_names_of_folders_may_be_of_any_script() -> None:
    assert below(Path("o"), "prepare/Müller 白", setting="name") == Path("o/prepare/Müller 白")
