"""Names of any script, and names that matplotlib would read as something else, are shown."""

import logging
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

from oadls.report import letters
from oadls.report.figures import plot_confusion, plot_measures, plot_roc, save
from oadls.report.letters import LONGEST, make_readable, named, spelled
from oadls.report.paper import MEASURES

SIGN = "\U000f0001"  # of private use: no font here has it


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch):
    """A program that has not warned yet."""
    monkeypatch.setattr(letters, "_told", False)
    yield
    plt.close("all")


def figures(classes: list[str]) -> list[Figure]:
    labels = np.arange(20) % 2
    first = np.random.default_rng(0).random(20)
    chances = np.stack([first, 1 - first], 1)
    scores = dict.fromkeys(MEASURES, 0.9)
    found = {**scores, "per_class": dict.fromkeys(classes, scores)}
    return [
        plot_confusion([[8, 2], [1, 9]], classes, "test"),
        plot_roc(labels, chances, classes, "test"),
        plot_measures(found, classes, "test", "test"),
    ]


def shown(figure: Figure) -> set[str]:
    """Every text that is drawn."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(plt.Text) if text.get_visible()]
    assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())
    return {text.get_text() for text in texts}


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["白血病", "正常"], {"BaiXueBing", "ZhengChang"}),
        (["癌", "爱"], {"<764C>", "<7231>"}),  # both are "Ai" in Latin
        (["ल्यूकेमिया", "백혈병"], {"lyukemiya", "BaegHyeolByeong"}),
        (["سرطان", "לוקמיה"], {"سرطان", "לוקמיה"}),  # the usual font has these
        (["Лейкоз", "Müller"], {"Лейкоз", "Müller"}),
        (["$x^2$", "a_b^c\\d"], {"$x^2$", "a_b^c\\d"}),
        (["$\\frac{", "50 %"], {"$\\frac{", "50 %"}),
        (["_all", "__hem__"], {" _all", " __hem__"}),
        ([SIGN, "nan"], {"<F0001>", "nan"}),
    ],
)
def test_names_are_read_in_every_figure(
    classes: list[str], names: set[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        for number, figure in enumerate(figures(classes)):
            save(figure, tmp_path / str(number))
            assert names <= shown(figure)
    told = [record.getMessage() for record in caplog.records]
    lost = {name.strip() for name in names} != set(classes)
    assert len(told) == int(lost), told
    assert all("no installed font has" in text for text in told)


def font_with(sign: str, folder: Path) -> Path:
    """A font whose only letter is a filled square."""
    pen = TTGlyphPen(None)
    for step, point in enumerate([(0, 0), (0, 900), (900, 900), (900, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(sign): "square"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(folder / "squares.ttf")
    return folder / "squares.ttf"


def test_an_installed_font_is_used_where_it_has_the_letters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist])
    fontManager.addfont(font_with(SIGN, tmp_path))
    figure = plt.figure(figsize=(1, 1))
    figure.text(0.1, 0.3, SIGN, fontsize=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, tmp_path / "sign")
    assert not caplog.records
    dark = np.asarray(Image.open(tmp_path / "sign.png").convert("L")) < 50
    assert 0.15 < dark.mean() < 0.35  # 40 of 72 points wide and nine tenths as high
    (wide,), (high,) = (np.unique(dark.sum(axis=k)[dark.any(axis=k)]) for k in (0, 1))
    assert abs(int(wide) - int(high)) <= 2


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True))
def test_no_two_names_become_one(names: list[str]) -> None:
    found = spelled(names, {letter for name in names for letter in name if ord(letter) > 0x300})
    assert len(set(found.values())) == len(names)
    short = named([f"{'long' * 20}{name}{'end' * 9}" for name in names])
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= LONGEST + len(" (8)")


def test_numbers_of_an_axis_stay() -> None:
    found = []
    for name in ("Bai", "白"):
        figure, axis = plt.subplots()
        axis.plot([0, 1], [0, 1], label=name)
        axis.legend()
        make_readable(figure)
        found.append(shown(figure))
    assert found[0] == found[1] > {"Bai", "0.2", "1.0"}
