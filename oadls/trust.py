"""What came with a run, a sweep or a checkpoint is read as data: none of it is run.

A config may name code (`_target_`), the environment (`${oc.env:HOME}`) and YAML's own objects. The
user's configs and command line may do so: they are the user's code. One that was loaded may name
what this project's configs name, each where it belongs, and what the user says by name
(trust=[mylab.Net]); nothing else in it is looked up.
"""

import io
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from oadls.cache import cache_folder
from oadls.errors import UserError

log = logging.getLogger(__name__)

SOURCES = ("all_idb2", "c_nmc", "c_nmc_manifest", "folder", "wbc_jtsc")
SPLITS = ("grouped_holdout", "grouped_kfold", "image_kfold", "official", "paper")
DRAWN = "oadls.data.synthetic.load"
# setting -> what it may name: all of conf/ that lands in a run's folder or a checkpoint
TRUSTED: Mapping[str, frozenset[str]] = {
    "data.source": frozenset([DRAWN, *(f"oadls.data.sources.{name}.load" for name in SOURCES)]),
    "split": frozenset(f"oadls.data.split.{name}" for name in SPLITS),
    "pipeline": frozenset({"oadls.pipeline.Pipeline"}),
    "pipeline.smooth": frozenset({"oadls.preprocess.wiener.wiener"}),
    "pipeline.equalize": frozenset({"oadls.preprocess.equalize.equalize"}),
    "pipeline.segment": frozenset({"oadls.segment.watershed.segment"}),
    "crop": frozenset({"oadls.segment.crop.crop"}),
    "augment": frozenset({"oadls.data.augment.augment"}),
    "model.backbone": frozenset({"oadls.model.backbone.Backbone"}),
    "model.head": frozenset(
        {
            "oadls.model.acrnn.ACRNN",
            "oadls.model.fully_connected.FullyConnected",
            "oadls.model.probe.CellProbe",
            "oadls.model.probe.LinearProbe",
        }
    ),
    "model.head.plane": frozenset(
        f"oadls.model.planes.{name}Plane" for name in ("Projected", "Pyramid", "Serpentine")
    ),
    "model.inputs": frozenset(f"oadls.baselines.inputs.{n}" for n in ("Handcrafted", "Pooled")),
    "model.inputs.measure": frozenset(
        {"oadls.baselines.energy.cell_energy", "oadls.baselines.shape.shape_and_texture"}
    ),
    "model.estimator": frozenset(
        f"oadls.baselines.estimators.{name}"
        for name in ("gao_svm", "logistic", "rbf_svm", "selected_svm")
    ),
    "optimizer": frozenset({"oadls.model.rmsprop.RMSProp", "torch.optim.RMSprop"}),
    "pruner": frozenset({"optuna.pruners.SuccessiveHalvingPruner"}),
    "trainer": frozenset({"pytorch_lightning.Trainer"}),
    "trainer.strategy": frozenset({"oadls.ranks.ddp"}),
    "logger": frozenset(f"pytorch_lightning.loggers.{name}Logger" for name in ("CSV", "Wandb")),
}
DOWNLOAD = "kagglehub.dataset_download"  # what data.download=true runs
# how a node is built; any other _name_ would tell Hydra what it may do
BUILT = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}
# settings that are this machine's or this command's, not the loaded config's
OTHERS = ("hydra", "engine", "trust")
WRITERS = ("default_root_dir", "logger", "callbacks", "plugins", "profiler", "model_registry")
CSV = {"_target_": "pytorch_lightning.loggers.CSVLogger", "_partial_": True, "name": "logs"}
NEEDED = ("name", "seed", "data", "split", "pipeline", "crop", "augment", "model")
OF_NETWORKS = ("optimizer", "training", "trainer")
DEEP = 50  # nodes within nodes
MOST, MOST_ENTRY = 1_000_000, 1000  # bytes of a config, of an entry of tune
SPLIT = re.compile(r"fold_\d+(-\w+)*")  # it names files
# what a file raises that is no checkpoint of ours
OTHER_FILE = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OSError, EOFError)
_named: ContextVar[frozenset[str]] = ContextVar("named", default=frozenset())


@contextmanager
def trusting(names: Iterable[str] | None) -> Iterator[None]:
    """Within this, what is loaded may also name these: "mylab.Net", wherever it stands."""
    more = [names] if isinstance(names, str) else names or ()
    token = _named.set(_named.get() | frozenset(more))
    try:
        yield
    finally:
        _named.reset(token)


def named_by_user() -> frozenset[str]:
    """What `trusting` allows here."""
    return _named.get()


def read_config(file: Path) -> DictConfig:
    """A config that came with a run or a sweep, to build from.

    What would write elsewhere is set aside: loggers, the trainer's folders and callbacks, the place
    of drawn cells, which become this machine's own.

    raises UserError for a file that is missing, empty or no YAML, and for one that names code that
        is neither TRUSTED nor named by the user, an interpolation, or a tag of YAML
    """
    settings = read_settings(file)
    run = settings.get("defaults") if "study" in settings else settings  # of a sweep, or of a run
    if missing := [name for name in NEEDED if name not in (run or ())]:
        raise UserError(f"config: {file} is half of one: it has no {', '.join(missing)}")
    return DictConfig(checked(settings, file))


def read_settings(file: Path) -> dict[str, Any]:
    """The plain values of a config, to compare with and never to build from.

    raises UserError for a file that is missing, empty or no YAML, and for tags of YAML
    """
    try:
        if file.stat().st_size > MOST:
            raise UserError(f"config: {file} is too large for a config")
        text = file.read_text(encoding="utf-8")
        _check_yaml(text, file)
        found = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except (OSError, UnicodeError) as error:
        raise UserError(f"config: {file} cannot be read: {error}") from None
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise UserError(f"config: {file} is no config, or half of one: {_short(why)}") from None
    if not found or not isinstance(found, dict):
        kind = "a list" if isinstance(found, list) and found else "empty"
        raise UserError(f"config: {file} holds the settings of a run by name, it is {kind}")
    if not text.endswith("\n"):
        raise UserError(f"config: {file} is half of one: its last line has no end")
    return {str(key): value for key, value in found.items()}


def _check_yaml(text: str, file: Path) -> None:
    """UserError for tags, aliases, and a depth that the parser, which is written in C, dies of."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        kind = type(token).__name__
        depth += kind.endswith("StartToken") - kind.endswith("EndToken")
        if isinstance(token, yaml.TagToken | yaml.AliasToken) or depth > DEEP:
            raise UserError(
                f"config: {file} may hold plain values alone, line {token.start_mark.line + 1} "
                "has a tag or an alias of YAML, or lies too deep"
            )


def read_checkpoint(file: Path, *, like: Any = None) -> dict[str, Any]:
    """A checkpoint of a network: "state_dict", "oadls" (what it says of itself), and Lightning's.

    like : a config of the user's, or one that is checked: what it names may be named here
    raises UserError for a file that is missing, empty, cut off, changed by a single bit, or not
        written by this project, and for a config in it as `read_config` does. Nothing in it is run
    """
    import torch  # heavy, and many who read configs need no network

    from oadls.torch_file import check_whole

    check_whole(file)
    try:
        saved = torch.load(file, weights_only=True, map_location="cpu")
        card = dict(saved["oadls"])
        tensors = all(isinstance(each, torch.Tensor) for each in saved["state_dict"].values())
        right = tensors and _is_card(card)
    except (*OTHER_FILE, UnpicklingError) as error:
        raise UserError(f"checkpoint: {file} was not written by oadls") from error
    if not right:
        raise UserError(f"checkpoint: {file} was not written by oadls")
    card["config"] = checked(card["config"], file, like=like)
    return {**saved, "oadls": card}


def _is_card(card: dict[str, Any]) -> bool:
    """Whether a checkpoint says what it has to, in the kinds of values that it has."""
    seen = card["seen"]
    texts = [*card["classes"], card["split"], *seen["images"], *seen["patients"]]
    if "sides" in card:
        texts += [card["data_fingerprint"], *card["sides"]]
        texts += [key for keys in card["sides"].values() for key in keys]
    plain = all(isinstance(text, str) for text in texts) and bool(SPLIT.fullmatch(card["split"]))
    return plain and {*NEEDED, *OF_NETWORKS} <= set(card["config"])


def checked(settings: Mapping[str, Any], file: Path, *, like: Any = None) -> dict[str, Any]:
    """The settings of a loaded config (or, of a sweep, its `defaults`), safe to build from.

    file : where they came from, for the message
    like : a config of the user's, or one that is checked: what it names may be named here
    raises UserError, see read_config
    """
    theirs = frozenset(_targets(like)).difference(*TRUSTED.values())  # the user's own classes
    _check(settings, "", file, named_by_user() | theirs, depth=0)
    found = _own(dict(settings), file)
    if isinstance(found.get("defaults"), Mapping):
        found["defaults"] = _own(dict(found["defaults"]), file)
    return found


def _check(value: Any, place: str, file: Path, also: frozenset[str], *, depth: int) -> None:
    """UserError unless a setting holds plain values and names what it may."""
    if depth > DEEP:
        raise UserError(f"{file}: {_short(place)} lies too deep to be a setting")
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            _check(each, f"{place}[{number}]", file, also, depth=depth + 1)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            inner = f"{place}.{key}".removeprefix(".")
            _check_key(key, inner, file)
            if key == "_target_":
                _check_target(each, place, file, also)
            else:
                _check(each, inner, file, also, depth=depth + 1)
    elif isinstance(value, str):
        if "${" in value:
            raise UserError(
                f"{file}: {place} is {_short(value)}: an interpolation is not followed in what "
                "came with a run or a checkpoint; write the value itself"
            )
    elif not isinstance(value, bool | int | float | None):
        raise UserError(f"{file}: {place} is no plain value but a {type(value).__name__}")


def _check_key(key: Any, place: str, file: Path) -> None:
    text = str(key)
    special = text.startswith("_") and text.endswith("_") and text not in BUILT
    if special or "${" in text or (text not in BUILT and any(name in text for name in BUILT)):
        raise UserError(f"{file}: {_short(place)} is no setting of this project's")


def _check_target(target: Any, place: str, file: Path, also: frozenset[str]) -> None:
    """UserError unless this setting may name this code."""
    here = TRUSTED.get(place.removeprefix("defaults."), frozenset())
    if isinstance(target, str) and (target in also or target in here):
        return
    told = _short(target)
    raise UserError(
        f"{file}: {place or 'its top'} would run {told}, which is not among what this project's "
        f"own files name there; if you know what it does and trust the file: trust=[{told}]"
    )


def check_entry(entry: Any, file: Path) -> None:
    """UserError unless a loaded entry of `tune` ("optimizer.lr=1e-4") names what it may.

    file : where it came from, for the message
    """
    try:
        changes = OmegaConf.to_container(OmegaConf.from_dotlist(str(entry)[:MOST_ENTRY].split()))
    except (yaml.YAMLError, OmegaConfBaseException, AttributeError, TypeError) as error:
        raise UserError(f"{file}: {_short(entry)} is no setting: {_short(error)}") from None
    check_changes(changes, file)


def check_changes(changes: Any, file: Path) -> None:
    """UserError unless settings that were loaded, as plain dicts and lists, name what they may."""
    _check(changes, "", file, named_by_user(), depth=0)


def as_names(text: str) -> list[str]:
    """The names in [a,b], or in a,b."""
    return [name.strip() for name in text.strip("[]").split(",") if name.strip()]


def as_text(name: str) -> str:
    """A name of a stranger's for a config, in which it stays as it is: ${...} is not followed."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + "\\${", name)


def as_argument() -> list[str]:
    """`trust=[...]` for a command that this one starts; nothing where nothing is trusted."""
    names = sorted(named_by_user())
    return [f"trust=[{','.join(names)}]"] if names else []


def _own(settings: dict[str, Any], file: Path) -> dict[str, Any]:
    """Without what is another machine's or another command's, and with what is this one's."""
    found = {key: value for key, value in settings.items() if key not in OTHERS}
    name = found.get("name", "")
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{file}: name is a name, or names with / between, not {_short(name)}")
    if "logger" in found:
        found["logger"] = dict(CSV)
    for entry in found.get("tune") or ():
        check_entry(entry, file)
    if isinstance(trainer := found.get("trainer"), Mapping):
        aside = [key for key in WRITERS if trainer.get(key) and not list(_targets(trainer[key]))]
        if aside:
            log.warning("%s: trainer.%s is not followed", file, ", trainer.".join(aside))
        found["trainer"] = {key: value for key, value in trainer.items() if key not in aside}
    if isinstance(data := found.get("data"), Mapping):
        found["data"] = _own_data(dict(data), file)
    return found


def _own_data(data: dict[str, Any], file: Path) -> dict[str, Any]:
    """Cells that are read: nothing is fetched, and what is to be drawn is drawn in the cache."""
    source = data.get("source")
    if not isinstance(source, Mapping):
        return data
    if source.get("download"):
        _check_target(DOWNLOAD, "data.source.download", file, named_by_user())
    if source.get("_target_") == DRAWN and not _holds_drawn_sets(source.get("root")):
        here = str(cache_folder() / "synthetic")
        data |= {"root": here, "source": {**source, "root": here}}
    return data


def _holds_drawn_sets(root: Any) -> bool:
    """Whether drawn cells lie in a folder already, so that drawing there is nothing new."""
    return isinstance(root, str) and any(Path(root).glob("synthetic-*/images"))


def _targets(value: Any) -> Iterator[str]:
    """All that a config names as code."""
    if isinstance(value, DictConfig):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _targets(each)


def _short(value: Any) -> str:
    """A value of a stranger's as one short line."""
    return " ".join(str(value).split())[:100]
