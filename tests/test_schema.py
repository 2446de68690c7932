"""A setting that cannot be is named, with what it may be and what it is."""

from functools import partial

import pytest
from omegaconf import OmegaConf

from oadls.errors import UserError
from oadls.experiment import build
from oadls.model.rmsprop import RMSProp
from oadls.preprocess.wiener import wiener
from oadls.schema import check_config, check_step
from oadls.training import make_trainer
from tests.runs import composed


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("training.epochs=abc", "training.epochs: .*integer.*'abc'"),
        ("training.epochs=0", "training.epochs: .*greater than 0.* 0"),
        ("training.balance=patents", "training.balance: .*'patient'.*'patents'"),
        ("training.label_smoothing=2", "training.label_smoothing: .*less than 1"),
        ("training.class_weights=[1,-1]", "training.class_weights: .*greater than 0"),
        ("data.max_bad=abc", "data.max_bad: .*number.*'abc'"),
        ("data.max_bad=5", "data.max_bad: .*less than or equal to 1"),
        ("data.window=wide", "data.window: .*'wide'"),
        ("data.positive=[all]", "data.positive: .*a name.*'all'"),
        ("data.classes=[[all],hem]", "data.classes: .*a name.*'all'"),
        ("data.classes=[]", "data.classes: .*at least 1 item"),
        ("seed=one", "seed: .*'one'"),
        ("coverage=1", "coverage: .*less than 1.* 1"),
        ("sensitivity=0", "sensitivity: .*greater than 0.* 0"),
        ("headline_leaks=perhaps", "headline_leaks: .*boolean.*'perhaps'"),
    ],
)
def test_a_misspelt_value_is_named(setting: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check_config(composed("train", setting))


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("data.columns=5", "data.columns: .*dictionary.* 5"),
        ("data.columns.patient=[who]", "data.columns.patient: .*a name.*'who'"),
        ("data.missing=NA", "data.missing: .*list.*'NA'"),
        ("data.class_folder=-1", "data.class_folder: .*greater than or equal to 0.* -1"),
    ],
)
def test_a_misspelt_value_of_your_own_images_is_named(setting: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check_config(composed("train", "data=folder", "data.root=x", setting))


def test_the_shipped_settings_pass() -> None:
    check_config(composed("train"))
    check_config(composed("prepare", "data=wbc_jtsc"))


@pytest.mark.parametrize(
    ("group", "setting"),
    [
        ("optimizer", "optimizer.lr=fast"),
        ("augment", "augment.hue=red"),
        ("crop", "crop.keep=nucleus"),
        ("pipeline", "pipeline.smooth.mode=sharp"),
        ("split", "split.val=some"),
        ("model.backbone", "model.backbone.size=large"),
    ],
)
def test_a_step_with_a_setting_of_another_type_is_refused(group: str, setting: str) -> None:
    name = setting.split("=")[0].split(".")[-1]
    with pytest.raises(UserError, match=f"{name}: Input should be"):
        build(OmegaConf.select(composed("train", setting), group))


def test_a_step_takes_what_its_annotation_says() -> None:
    check_step(partial(wiener, mode="local", noise=None))
    check_step(partial(RMSProp, lr=1, rho=0.9))
    with pytest.raises(UserError, match=r"wiener: noise: .*'loud'"):
        check_step(partial(wiener, noise="loud"))


def test_what_lightning_refuses_is_said_in_one_line() -> None:
    with pytest.raises(UserError, match="trainer: Precision 'half' is invalid"):
        make_trainer(composed("train", "trainer.precision=half").trainer)


def test_the_optimizers_of_torch_are_checked_too() -> None:
    config = composed("train", "optimizer=torch_rmsprop", "optimizer.lr=fast")
    with pytest.raises(UserError, match=r"RMSprop: lr: .*'fast'"):
        build(config.optimizer)
