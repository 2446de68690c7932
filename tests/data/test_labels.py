"""A class is the one that the user typed, whatever YAML and Hydra make of it; doubts are asked."""

import math

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from oadls.data.labels import (
    check_trainable,
    classes_of,
    forget_unknown,
    name_class,
    name_classes,
    positive_of,
    refuse_near_labels,
    rename_labels,
    warn_near_patients,
)
from oadls.errors import UserError

TYPED = ["0", "1", "2", "-1", "010", "1.0", "1e3", "0x1F", "1_000", "no", "yes", "on", "y", "True"]
TYPED += ["nan", "NaN", ".nan", "inf", "None", "B ALL", "CD4+", "t(9;22)", "12:30:00", "良性", "ÄÖ"]


def as_hydra(name: str) -> object:
    """What an override makes of a name, in quotes where Hydra takes it in no other way."""
    parser = OverridesParser.create()
    try:
        return parser.parse_override(f"x={name}").value()
    except HydraException:
        return parser.parse_override(f"x='{name}'").value()


def as_yaml(name: str) -> object:
    return OmegaConf.create(f"x: {name}").x


@given(st.lists(st.sampled_from(TYPED), min_size=1, unique=True), st.data())
def test_every_class_is_named_as_it_is_typed(found: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(found))
    for read in (as_hydra, as_yaml):
        setting = read(name)
        others = [other for other in found if other != name]
        if any(_same(made(other), setting) for other in others for made in (as_hydra, as_yaml)):
            continue  # nobody can tell: asked, see below
        assert name_class(setting, found, owner="data.positive") == name


def _same(one: object, other: object) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    both = [value for value in (one, other) if isinstance(value, float)]
    return one == other or (len(both) == 2 and all(map(math.isnan, both)))


@pytest.mark.parametrize(
    ("setting", "found", "name"),
    [
        (1, ["0", "1"], "1"),
        (1, ["1", "01", "1.0"], "1"),
        (1.0, ["0", "1"], "1"),
        (8, ["010", "7"], "010"),
        (False, ["no", "yes"], "no"),
        ("all", ["all"], "all"),
        ("gone", ["all"], "gone"),
        (3, ["all"], "3"),
    ],
)
def test_a_number_or_truth_value_is_the_class_that_reads_as_it(setting, found, name) -> None:
    assert name_class(setting, found, owner="data.positive") == name


def test_classes_that_read_alike_are_asked_for_in_quotes() -> None:
    with pytest.raises(UserError, match=r"True may be any of on, yes: .*data\.classes=\"'on'\""):
        name_classes([True], ["on", "yes"])


def table(*labels: str | None) -> pd.DataFrame:
    return pd.DataFrame({"label": pd.Series(labels, dtype=object)})


def test_classes_keep_the_order_of_the_setting_and_refuse_the_others() -> None:
    assert classes_of(table("0", "1", None), [1, 0]) == ["1", "0"]
    assert classes_of(table("b", "a"), None) == ["a", "b"]
    with pytest.raises(UserError, match=r"data\.classes: hem found but not in all"):
        classes_of(table("all", "hem"), ["all"])
    with pytest.raises(UserError, match="each class stands once, 1 is there twice"):
        classes_of(table("1"), [1, "1"])


def test_a_positive_that_is_no_class_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"data\.positive: one of the classes all, hem, not ALL"):
        positive_of("ALL", ["all", "hem"])
    assert positive_of(1, ["0", "1"]) == "1"
    assert positive_of(None, ["0", "1"]) is None
    assert positive_of("all", []) is None  # nothing has a label


@pytest.mark.parametrize("word", ["nan", "None", "N/A", "NA", "null", "<NA>", "?", "-", "Unknown"])
@pytest.mark.parametrize("column", ["label", "patient"])
def test_a_word_for_not_known_is_asked_about(word: str, column: str) -> None:
    values = ["a", word, word, None]
    with pytest.raises(UserError, match="2 of 4 images have the") as asked:
        forget_unknown(values, column=column, missing=None)
    setting = str(asked.value).split('data.missing="')[1].split('"')[0]
    words = OverridesParser.create().parse_override(f"x={setting}").value()
    assert forget_unknown(values, column=column, missing=words) == ["a", None, None, None]
    assert forget_unknown(values, column=column, missing=[]) == values
    assert forget_unknown(values, column=column, missing=None, named=[word]) == values


def test_words_of_the_setting_may_be_what_hydra_makes_of_them() -> None:
    values = ["nan", "null", "0", "all"]
    assert forget_unknown(values, column="label", missing=[math.nan, None, 0]) == [
        *(None, None, None, "all")
    ]


@pytest.mark.parametrize(
    "near",
    [
        ("ALL", "all"),
        ("B ALL", "b-all", "B_ALL"),
        ("1", "1.0", "01"),
        ("ＡＬＬ", "ALL"),
        ("a", " a"),
    ],
)
def test_labels_that_differ_in_spelling_alone_are_asked_about(near: tuple[str, ...]) -> None:
    labels = [*near, "other", None]
    with pytest.raises(UserError, match="differ in spelling alone") as asked:
        refuse_near_labels(labels)
    setting = str(asked.value).split('data.rename="')[1].split('"')[0]
    names = OverridesParser.create().parse_override(f"x={setting}").value()
    assert len(set(rename_labels(labels, names))) == 3  # one class, other and none
    refuse_near_labels(labels, named=[*near, "other"])


def test_other_labels_are_no_question(caplog) -> None:
    refuse_near_labels(["all", "aml", "CD4+", "CD4-", "1", "10", "-1", None])
    warn_near_patients(["1-23", "12-3", "7", "17", "P1", None])
    assert not caplog.text


def test_patients_that_differ_in_spelling_alone_are_said(caplog) -> None:
    warn_near_patients(["P1", "p1", "P-1", "007", "7", "x"])
    assert "2 patients are written in several ways" in caplog.text
    assert "P-1, P1, p1" in caplog.text


def test_labels_take_the_names_that_they_are_given() -> None:
    assert rename_labels(["1", "0", None], {1: "all", 0: "hem"}) == ["all", "hem", None]
    with pytest.raises(UserError, match=r"data\.rename: 7 is no label; there are 0, 1"):
        rename_labels(["1", "0"], {7: "all"})


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (["hem", "hem"], ["hem"], "training needs cells of two classes, all 2 are hem"),
        (["hem"], ["all", "hem"], "training needs cells of two classes, all 1 are hem"),
        ([None], [], "training needs cells of two classes, none has a label"),
        (["a", "b"], ["a", "b", "c"], r"none of c: take it out, data\.classes=\"\['a','b'\]\""),
    ],
)
def test_what_cannot_be_learned_is_refused(labels, classes, message) -> None:
    with pytest.raises(UserError, match=message):
        check_trainable(table(*labels), classes=classes)


def test_two_classes_with_cells_can_be_learned() -> None:
    check_trainable(table("a", "b", None), classes=["a", "b"])
