"""Recipe fingerprint + content hash -> arrays, whole or not at all.

One folder a recipe: `recipe.json` says what made the arrays, an LMDB environment holds them.
LMDB was chosen by measurement (docs/cache.md): readers map the file, writers queue on one lock,
and a killed writer leaves the last whole transaction behind. Where many machines write, they add
files of their own (oadls/shards.py); a cache reads both.

    python -m oadls.cache                     list the recipes and their sizes
    python -m oadls.cache --delete NAME ...   delete recipes by name (or --delete all)
"""

import argparse
import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import numpy as np
import xxhash
import zstandard
from safetensors.numpy import save as encode_arrays

from oadls.errors import UserError
from oadls.shards import Arrays, Draft, Shards, forget_files, shards_in
from oadls.store import READ_ONLY, Store, explain
from oadls.streams import accept_every_letter, speak_utf8

FORMAT = 3  # of a record: XXH3 of its key and body (8 bytes), body: safetensors, compressed or not
CHECKSUM = 8  # bytes
KINDS = {"BOOL": "?", "U8": "u1", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
DTYPES = {name: np.dtype(kind) for name, kind in KINDS.items()}
T = TypeVar("T")


def cache_folder() -> Path:
    """Where recipes live: OADLS_CACHE_DIR, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "oadls"
    return Path(os.environ.get("OADLS_CACHE_DIR", default)).expanduser()


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """Sixteen hex digits that change with anything in the recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Cache:
    """The arrays that one recipe made, by key.

    kind : what the recipe makes ("facts", "prepared", "features"), the readable half of the name
    recipe : plain values; any change of them is another cache
    compress : zstd on every record; images and masks shrink to a third, feature maps do not
    """

    def __init__(
        self,
        kind: str,
        recipe: Mapping[str, Any],
        *,
        folder: Path | None = None,
        compress: bool = True,
    ) -> None:
        root = (folder or cache_folder()).resolve()
        self.path = root / f"{kind}-{fingerprint({'format': FORMAT, **recipe})}"
        self._name = self.path.name
        self.compress, self._recipe = compress, dict(recipe)
        _publish_recipe(self.path, self._recipe)

    def __contains__(self, key: str) -> bool:
        return not self.missing([key])

    def __len__(self) -> int:
        return (self._store.entries if self._store.exists else 0) + len(self.shards)

    def missing(self, items: Iterable[T], *, key: Callable[[T], str] = str) -> list[T]:
        """The items whose key is not there yet, in their order; by default a key itself."""
        if not self._store.exists:  # nor can it be made: see `write`
            return list(items)
        with self._store.reading() as transaction:
            cursor = transaction.cursor()
            left = [item for item in items if not cursor.set_key(_key(key(item)))]
        present = self.shards.present(key(item) for item in left)
        return [item for item in left if key(item) not in present]

    def write(self, records: Mapping[str, Arrays]) -> None:
        """Publish all records in one transaction: a reader sees all of them or none.

        raises UserError where the cache cannot be written or its disk is full; what it holds stays
        """
        encoded = [(_key(key), self._encode(key, arrays)) for key, arrays in records.items()]
        _publish_recipe(self.path, self._recipe, needed=True)

        def put(transaction: lmdb.Transaction) -> None:
            for key, value in encoded:
                transaction.put(key, value)

        self._store.change(put)

    def read(self, key: str) -> dict[str, np.ndarray]:
        """The arrays under a key.

        Raises KeyError when absent, UserError when it is damaged or another key's.
        """
        checksum, body = self._find(key)
        if checksum != self._checksum(key, body):
            raise self._damaged(key)
        try:
            return decode_arrays(bytearray(zstandard.decompress(body)) if self.compress else body)
        except Exception as error:  # what a header says that is no header can end in anything
            raise self._damaged(key) from error

    def _find(self, key: str) -> tuple[bytes, bytearray]:
        """Checksum and body of a record."""
        store = self._store
        if store.exists:
            found = store.take(_key(key), _split)
            if found is not None:
                return found
            published = self.shards.get(key)
            if published is not None:
                return _split(published)
        raise KeyError(key)

    @property
    def _store(self) -> Store:
        return _store(self.path)

    def _damaged(self, key: str) -> UserError:
        return UserError(f"cache: record {key} in {self.path} is damaged; {_cure(self.path)}")

    @property
    def shards(self) -> Shards:
        """The files that many machines write; their keys begin with hex digits."""
        return shards_in(self.path / "shards")

    def draft(self, prefix: str) -> Draft:
        """A new file for records whose keys begin with `prefix`."""
        return Draft(self.shards.folder, prefix, encode=self._encode)

    def _encode(self, key: str, arrays: Arrays) -> bytes:
        body = encode_arrays({name: np.ascontiguousarray(a) for name, a in arrays.items()})
        if self.compress:
            body = zstandard.compress(body, level=1)
        return self._checksum(key, body) + body

    def _checksum(self, key: str, body: bytes | bytearray) -> bytes:
        """Of the place as well: a record that stands under another key or recipe is damage."""
        digest = xxhash.xxh3_64(f"{self._name} {key} ".encode(errors="surrogatepass"))
        digest.update(body)
        return digest.digest()


@functools.cache
def _store(path: Path) -> Store:
    """The records at a resolved path: LMDB forbids to open them twice in a process."""
    return Store(path, cure=_cure(path))


def _cure(path: Path) -> str:
    return f"delete the recipe with: python -m oadls.cache --delete {path.name}"


def decode_arrays(body: bytes | bytearray) -> dict[str, np.ndarray]:
    """The arrays in the bytes of a safetensors file, as views: its own reader copies each.

    They can be written to, without any effect on the cache, where `body` is a bytearray.
    raises whatever comes of it where the bytes are no such file
    """
    start = 8 + int.from_bytes(body[:8], "little")  # length of the header, header, data
    header = json.loads(body[8:start])
    return {name: _view(body, start, entry) for name, entry in header.items()}


def _view(body: bytes | bytearray, start: int, entry: dict[str, Any]) -> np.ndarray:
    kind, shape = DTYPES[entry["dtype"]], entry["shape"]
    number, (first, last) = math.prod(shape), entry["data_offsets"]
    if not 0 <= first <= last <= len(body) - start or last - first != number * kind.itemsize:
        raise ValueError(f"{shape} of {kind} do not fill the bytes {first} to {last}")
    return np.frombuffer(body, kind, number, start + first).reshape(shape)


def _split(value: bytes | memoryview) -> tuple[bytes, bytearray]:
    return bytes(value[:CHECKSUM]), bytearray(value[CHECKSUM:])


def _key(key: str) -> bytes:
    # LMDB keys end at 511 bytes, paths do not, which may hold bytes that are no text
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _publish_recipe(path: Path, recipe: dict[str, Any], *, needed: bool = False) -> None:
    """Make the folder of a recipe, unless it is there.

    needed : whether that is an error where nothing may be written: what is there can be read
    """
    if (path / "recipe.json").is_file():
        return
    try:
        _make_folder(path, recipe)
    except OSError as error:
        if needed or error.errno not in READ_ONLY:
            raise UserError(explain(error, path)) from error


def _make_folder(path: Path, recipe: dict[str, Any]) -> None:
    """With its recipe and no records, by one rename, so that no reader finds it half made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    try:
        text = json.dumps(recipe, indent=2, sort_keys=True)
        (draft / "recipe.json").write_text(text, encoding="utf-8")
        store = Store(draft, cure=_cure(path))
        try:
            assert not store.entries  # looking makes the files
        finally:
            store.close()
        draft.rename(path)
    except OSError:  # another process was first: its folder is as good as ours
        if not (path / "recipe.json").is_file():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def recipes(folder: Path | None = None) -> list[dict[str, Any]]:
    """Every recipe in the cache: name, records, bytes on disk, last use, recipe.

    records and recipe of one that is damaged are None
    """
    found = []
    for file in sorted((folder or cache_folder()).resolve().glob("*/recipe.json")):
        shards = shards_in(file.parent / "shards")
        data = [path.stat() for path in (file, *file.parent.glob("data.mdb"), *shards.files())]
        try:
            records, recipe = (
                _store(file.parent).entries + len(shards),
                json.loads(file.read_text(encoding="utf-8")),
            )
        except (UserError, ValueError):
            records, recipe = None, None
        found.append(
            {
                "name": file.parent.name,
                "records": records,
                "bytes": sum(status.st_blocks for status in data) * 512,
                "modified": max(status.st_mtime for status in data),
                "recipe": recipe,
            }
        )
    return found


def delete(name: str, *, folder: Path | None = None) -> None:
    """Delete one recipe with all that it holds. Raises UserError when there is none."""
    path = (folder or cache_folder()).resolve() / name
    if path.name != name or not (path / "recipe.json").is_file():
        raise UserError(f"cache: no recipe {name} in {path.parent}")
    _store(path).close()
    forget_files()
    grave = path.with_name(f".deleted-{path.name}-{os.getpid()}")
    try:
        path.rename(grave)  # readers never see a half-deleted recipe
        shutil.rmtree(grave)
    except OSError as error:
        raise UserError(f"cache: {path} cannot be deleted ({error.strerror})") from error


def main(arguments: list[str] | None = None) -> int:
    from datetime import datetime

    from rich.table import Table

    from oadls.terminal import console

    parser = argparse.ArgumentParser(prog="python -m oadls.cache", description="The cache.")
    parser.add_argument("--delete", nargs="+", metavar="NAME", help="recipes to delete, or: all")
    options = parser.parse_args(arguments)
    accept_every_letter()
    terminal = console()
    names = options.delete or []
    if names == ["all"]:
        names = [entry["name"] for entry in recipes()]
    for name in names:
        try:
            delete(name)
        except UserError as error:
            terminal.print(str(error), style="red")
            return 1
        terminal.print(f"deleted {name}")
    table = Table("recipe", "records", "MB", "last written", title=str(cache_folder()))
    for entry in recipes():
        written = datetime.fromtimestamp(entry["modified"]).strftime("%Y-%m-%d %H:%M")
        records = "damaged" if entry["records"] is None else str(entry["records"])
        table.add_row(entry["name"], records, f"{entry['bytes'] / 1e6:.1f}", written)
    terminal.print(table)
    return 0


if __name__ == "__main__":
    speak_utf8()
    raise SystemExit(main())
