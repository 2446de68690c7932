"""What a setting may be. A misspelt value ends in one line that names it, not in a traceback."""

import functools
import typing
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)

from oadls.errors import UserError
from oadls.settings import outputs_of


def _name(value: object) -> object:
    if not isinstance(value, str | int | float | None):
        raise ValueError("Input should be a name")
    return value


# A class, a column: Hydra makes values of some names (1, yes, null), see oadls/data/labels.py
Name = Annotated[object, PlainValidator(_name)]
Balance = Literal["none", "class", "patient"]


class TrainingSettings(BaseModel):
    """The group `training` of conf/train.yaml, which says what each one means."""

    epochs: PositiveInt
    batch_size: PositiveInt
    views: PositiveInt
    test_views: PositiveInt
    balance: Balance
    patience: PositiveInt
    class_weights: list[PositiveFloat] | None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    backbone_lr_factor: NonNegativeFloat
    workers: NonNegativeInt
    compile: bool


class DataSettings(BaseModel):
    """What every group of conf/data has."""

    max_bad: Annotated[float, Field(ge=0, le=1)]
    window: PositiveFloat | None
    classes: Annotated[list[Name], Field(min_length=1)] | None
    positive: Name
    columns: dict[str, Name] | None = None
    class_folder: NonNegativeInt | None = None
    missing: list[Name] | None = None


class Settings(BaseModel):
    """The values of a config that no function takes as they are."""

    seed: NonNegativeInt
    data: DataSettings
    training: TrainingSettings | None = None
    split_seed: NonNegativeInt = 0
    fold: NonNegativeInt | None = None
    test: bool = True
    tune: list[str] | None = None
    floors: bool = False
    report: bool = True
    headline_leaks: bool = False
    sensitivity: Annotated[float, Field(gt=0, le=1)] = 0.95
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9


def check_config(config: DictConfig) -> None:
    """UserError that names every setting with a value that it cannot have."""
    outputs_of(config.get("name", "unnamed"))  # before anything is made
    # no others are resolved: the precision of a trainer takes PyTorch, whose import takes seconds
    found = {str(key): config[key] for key in config if key in Settings.model_fields}
    try:
        Settings.model_validate({key: _plain(value) for key, value in found.items()})
    except ValidationError as error:
        raise UserError(_explain("settings", error)) from None


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def check_step(step: functools.partial) -> None:
    """UserError when a bound setting of a step or an optimizer is not of its annotated type."""
    if not step.func.__module__.startswith(("oadls.", "torch.optim.")):
        return
    is_class = isinstance(step.func, type)
    function = step.func.__init__ if is_class else step.func
    hints = typing.get_type_hints(function, include_extras=True)
    for name, value in step.keywords.items():
        if name in hints:
            try:
                _adapter(hints[name]).validate_python(value)
            except ValidationError as error:
                message = _explain(step.func.__name__, error, name)
                raise UserError(message) from None


def _adapter(hint: Any) -> TypeAdapter:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def _explain(owner: str, error: ValidationError, setting: str = "") -> str:
    """The first fault of each setting; of a union of types, what the first one says."""
    lines: dict[str, str] = {}
    for fault in error.errors():
        name = setting or ".".join(part for part in fault["loc"] if isinstance(part, str))
        lines.setdefault(name, f"{fault['msg']}, it is {fault['input']!r}")
    return "; ".join(f"{owner}: {name}: {text}" for name, text in lines.items())
