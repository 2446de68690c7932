"""A fitted estimator of scikit-learn in a file of numbers and names, of which nothing is run.

skops keeps what pickle would, as arrays and JSON. It would also build any estimator of
scikit-learn: a file that was not written in this process may hold what this project's own
estimators are made of, and what the user trusts by name (oadls/trust.py).
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oadls.errors import UserError
from oadls.torch_file import check_whole
from oadls.trust import named_by_user

ENDING, PICKLED = ".skops", ".joblib"
# what the estimators of conf/model/estimator are made of
HELD = frozenset(
    {
        "oadls.baselines.choice.ForestChoice",
        "oadls.baselines.gao_svm.GaoSvm",
        "oadls.baselines.tempered.Tempered",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.svm._classes.SVC",
    }
)
VALUES = {f"builtins.{kind}" for kind in ("str", "list", "tuple", "dict", "int", "float", "bool")}
VALUES |= {f"numpy.{kind}" for kind in ("ndarray", "bool", "int32", "int64", "float32", "float64")}
# of skops: values, arrays, and objects of a class with attributes; no function, method or partial
LOADERS = {f"{kind}Node" for kind in ("Dict", "Json", "List", "NdArray", "Object", "Tuple", "Type")}
_written: set[str] = set()  # digests of the files that this process wrote


def write_estimator(estimator: Any, file: Path) -> None:
    """Keep a fitted estimator; `file` ends in ENDING."""
    import skops.io  # heavy: it imports all of scikit-learn

    skops.io.dump(estimator, file)
    _written.add(_digest(file))


def read_estimator(file: Path) -> Any:
    """A fitted estimator from its file.

    raises UserError for a file that is not whole, was not written by this project, or names a class
        that is neither HELD nor trusted by the user
    """
    import skops.io

    if file.suffix == PICKLED:
        raise UserError(_is_pickle(file))
    check_whole(file)
    own = _digest(file) in _written
    try:
        if not own:
            _check(file)
        names = skops.io.get_untrusted_types(file=file) if own else [*HELD, *named_by_user()]
        return skops.io.load(file, trusted=names)
    except UserError:
        raise
    except Exception as error:  # skops and scikit-learn raise whatever their parts raise
        raise UserError(f"checkpoint: {file} holds no estimator of oadls ({error})") from error


def find_estimators(folder: Path) -> list[Path]:
    """The fits of a folder of checkpoints, fold by fold; UserError for those of old, pickled."""
    found = sorted(folder.glob(f"fold_*{ENDING}"))
    if not found and (old := sorted(folder.glob(f"fold_*{PICKLED}"))):
        raise UserError(_is_pickle(old[0]))
    return found


def _check(file: Path) -> None:
    """UserError unless a file is made of what it may be made of."""
    with zipfile.ZipFile(file) as parts:
        nodes = list(_nodes(json.loads(parts.read("schema.json"))))
    user = named_by_user()
    kinds = {f"{node.get('__module__')}.{node.get('__class__')}" for node in nodes}
    loaders = {str(node.get("__loader__")) for node in nodes}
    wrong = kinds - VALUES - HELD - user or (set() if user else loaders - LOADERS)
    if wrong:
        names = ",".join(sorted(wrong))[:200]
        raise UserError(
            f"checkpoint: {file} holds {names}, which is not what this project's estimators are "
            f"made of; if you know what it does and trust the file: trust=[{names}]"
        )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a file of skops that says what it is."""
    if isinstance(value, dict):
        if {"__class__", "__module__", "__loader__"} & set(value):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _nodes(each)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_pickle(file: Path) -> str:
    return (
        f"checkpoint: {file} is a pickle, which could run code and is not opened; train the run "
        "again, its fits are kept as plain values now"
    )
