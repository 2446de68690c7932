"""Recipe fingerprint + content hash -> arrays, whole or not at all.

One folder a recipe: `recipe.json` says what made the arrays, an LMDB environment holds them.
LMDB was chosen by measurement (docs/cache.md): readers map the file, writers queue on one lock,
and a killed writer leaves the last whole transaction behind. Where many machines write, they add
files of their own (oadls/shards.py); a cache reads both.

    python -m oadls.cache                     list the recipes and their sizes
    python -m oadls.cache --delete NAME ...   delete recipes by name (or --delete all)
"""

import argparse
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
from oadls.streams import accept_every_letter, speak_utf8

FORMAT = 2  # of a record: XXH3 (8 bytes), then safetensors, compressed or not
CHECKSUM = 8  # bytes
DTYPES = {"BOOL": "?", "U8": "u1", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
MAP_SIZE = 1 << 40  # address space, not disk: the file grows with its content
T = TypeVar("T")

# LMDB forbids to open one environment twice in a process, and to carry it over a fork
_environments: dict[tuple[int, Path], lmdb.Environment] = {}


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
        self.compress = compress
        _publish_recipe(self.path, dict(recipe))

    def __contains__(self, key: str) -> bool:
        return not self.missing([key])

    def __len__(self) -> int:
        with self._environment.begin() as transaction:  # what a reader sees, not the last meta page
            return int(transaction.stat()["entries"]) + len(self.shards)

    def missing(self, items: Iterable[T], *, key: Callable[[T], str] = str) -> list[T]:
        """The items whose key is not there yet, in their order; by default a key itself."""
        with self._environment.begin() as transaction:
            cursor = transaction.cursor()
            left = [item for item in items if not cursor.set_key(_key(key(item)))]
        present = self.shards.present(key(item) for item in left)
        return [item for item in left if key(item) not in present]

    def write(self, records: Mapping[str, Arrays]) -> None:
        """Publish all records in one transaction: a reader sees all of them or none."""
        encoded = [(_key(key), self._encode(arrays)) for key, arrays in records.items()]
        with self._environment.begin(write=True) as transaction:
            for key, value in encoded:
                transaction.put(key, value)

    def read(self, key: str) -> dict[str, np.ndarray]:
        """The arrays under a key.

        Raises KeyError when absent, UserError when its checksum does not match.
        """
        checksum, body = self._find(key)
        if checksum != _checksum(body):
            raise UserError(
                f"cache: record {key} in {self.path} is damaged; "
                f"delete the recipe with: python -m oadls.cache --delete {self.path.name}"
            )
        return decode_arrays(bytearray(zstandard.decompress(body)) if self.compress else body)

    def _find(self, key: str) -> tuple[bytes, bytearray]:
        """Checksum and body of a record."""
        with self._environment.begin(buffers=True) as transaction:
            value = transaction.get(_key(key))
            if value is not None:
                return _split(value)
        published = self.shards.get(key)
        if published is None:
            raise KeyError(key)
        return _split(published)

    @property
    def shards(self) -> Shards:
        """The files that many machines write; their keys begin with hex digits."""
        return shards_in(self.path / "shards")

    def draft(self, prefix: str) -> Draft:
        """A new file for records whose keys begin with `prefix`."""
        return Draft(self.shards.folder, prefix, encode=self._encode)

    def _encode(self, arrays: Arrays) -> bytes:
        body = encode_arrays({name: np.ascontiguousarray(a) for name, a in arrays.items()})
        if self.compress:
            body = zstandard.compress(body, level=1)
        return _checksum(body) + body

    @property
    def _environment(self) -> lmdb.Environment:
        return _open(self.path)


def _open(path: Path) -> lmdb.Environment:
    """The environment at a resolved path, opened once a process."""
    place = (os.getpid(), path)
    if place not in _environments:
        _environments[place] = lmdb.open(
            str(path), map_size=MAP_SIZE, max_readers=1024, readahead=False
        )
    return _environments[place]


def decode_arrays(body: bytes | bytearray) -> dict[str, np.ndarray]:
    """The arrays in the bytes of a safetensors file, as views: its own reader copies each.

    They can be written to, without any effect on the cache, where `body` is a bytearray.
    """
    start = 8 + int.from_bytes(body[:8], "little")  # length of the header, header, data
    header = json.loads(body[8:start])
    return {
        name: np.frombuffer(
            body,
            DTYPES[entry["dtype"]],
            count=math.prod(entry["shape"]),
            offset=start + entry["data_offsets"][0],
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def _split(value: bytes | memoryview) -> tuple[bytes, bytearray]:
    return bytes(value[:CHECKSUM]), bytearray(value[CHECKSUM:])


def _key(key: str) -> bytes:
    # LMDB keys end at 511 bytes, paths do not, which may hold bytes that are no text
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _checksum(body: bytes | bytearray) -> bytes:
    return xxhash.xxh3_64_digest(body)


def _publish_recipe(path: Path, recipe: dict[str, Any]) -> None:
    """Make the folder with its recipe by one rename, so that no reader finds it half made."""
    if (path / "recipe.json").is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    (draft / "recipe.json").write_text(
        json.dumps(recipe, indent=2, sort_keys=True), encoding="utf-8"
    )
    try:
        draft.rename(path)
    except OSError:  # another process was first: its folder is as good as ours
        shutil.rmtree(draft)
        if not (path / "recipe.json").is_file():
            raise


def recipes(folder: Path | None = None) -> list[dict[str, Any]]:
    """Every recipe in the cache: name, records, bytes on disk, last use, recipe."""
    found = []
    for file in sorted((folder or cache_folder()).resolve().glob("*/recipe.json")):
        records = _open(file.parent).stat()["entries"]
        shards = shards_in(file.parent / "shards")
        data = [path.stat() for path in (file.parent / "data.mdb", *shards.files())]
        found.append(
            {
                "name": file.parent.name,
                "records": records + len(shards),
                "bytes": sum(status.st_blocks for status in data) * 512,
                "modified": max(status.st_mtime for status in data),
                "recipe": json.loads(file.read_text(encoding="utf-8")),
            }
        )
    return found


def delete(name: str, *, folder: Path | None = None) -> None:
    """Delete one recipe with all that it holds. Raises UserError when there is none."""
    path = (folder or cache_folder()).resolve() / name
    if path.name != name or not (path / "recipe.json").is_file():
        raise UserError(f"cache: no recipe {name} in {path.parent}")
    opened = _environments.pop((os.getpid(), path), None)
    if opened is not None:
        opened.close()
    forget_files()
    grave = path.with_name(f".deleted-{path.name}-{os.getpid()}")
    path.rename(grave)  # readers never see a half-deleted recipe
    shutil.rmtree(grave)


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
        table.add_row(entry["name"], str(entry["records"]), f"{entry['bytes'] / 1e6:.1f}", written)
    terminal.print(table)
    return 0


if __name__ == "__main__":
    speak_utf8()
    raise SystemExit(main())
