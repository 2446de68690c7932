"""The database of a study: opened, shared with other commands, and written down without a password.

SQLite on one machine, a server for many; libpq finds the password of a PostgreSQL server itself.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from oadls.errors import UserError
from oadls.passwords import RULE, WAYS, holds_password
from oadls.settings import sqlite_file
from oadls.trust import named_by_user


def open_storage(url: str, **settings: Any) -> RDBStorage:
    """The database with its tables, which another command may be making at the same time.

    settings : of Optuna's RDBStorage
    raises UserError where there is no such database or it lets nobody in
    """

    template = url.replace("{", "{{").replace("}", "}}")  # Optuna would fill it in

    def make() -> RDBStorage:
        # a connection may die while a laptop sleeps: each is tried before it is used
        return RDBStorage(template, engine_kwargs={"pool_pre_ping": True}, **settings)

    try:
        return _twice(make)
    except (DBAPIError, ImportError, NoSuchModuleError) as error:
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        key = "" if is_file(parsed(url)) else "; its password comes from PGPASSWORD or ~/.pgpass"
        raise UserError(f"sweep: {written(url)} cannot be opened ({why}){key}") from None


def _twice(make: Callable[[], RDBStorage]) -> RDBStorage:
    try:
        return make()
    except DBAPIError:  # another command was first: by now all tables are there
        time.sleep(1)
        return make()


def parsed(url: Any) -> URL:
    """An address of a database; UserError for what is none, or could only be half understood."""
    try:
        found = make_url(url)
    except ArgumentError:
        raise UserError(
            "hydra.sweeper.storage: it is no address of a database such as "
            "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        ) from None
    if is_file(found) and found.query and "uri" not in found.query:
        raise UserError(
            f"hydra.sweeper.storage: {url}: what follows a ? is no part of a file's name; write %3F"
        )
    return found


def check_storage(url: Any, given: Any) -> None:
    """UserError for an address with a password that would reach a file.

    url : as resolved
    given : as in the config, where `${oc.env:NAME}` is not resolved, nor is what is written down
    """
    found = parsed(url)
    if holds_password(str(given)) or (_secrets(found) and "${oc.env:" not in str(given)):
        raise UserError(f"hydra.sweeper.storage: {RULE}; {WAYS}")


def written(url: str) -> str:
    """An address without its password; of a file its absolute path."""
    bare = parsed(url)._replace(password=None)  # `set` takes None for no change
    if is_file(bare) and bare.database and not bare.query:
        return sqlite_file(str(Path(bare.database).absolute()))
    return bare.difference_update_query(_secrets(bare)).render_as_string(hide_password=False)


def stored(folder: Path, url: str) -> RDBStorage:
    """The database of a sweep that was written into a folder, which may have been moved since.

    url : as `written`
    raises UserError where it is not there; none is made. A file elsewhere and a server are opened
        where the user names them (trust=[URL]): whoever wrote the folder may have written the
        address, and a server may ask its client for files
    """
    found = parsed(url)
    own = folder / Path(found.database or "").name
    inside = is_file(found) and not found.query and own.resolve().parent == folder.resolve()
    if inside and own.is_file():
        return open_storage(sqlite_file(str(own.absolute())))
    if inside and not Path(str(found.database)).is_file():
        raise UserError(f"sweep: no database {found.database}")
    if url not in named_by_user():
        raise UserError(
            f"sweep: the study is kept at {url}, outside of {folder}; if that is yours, or you "
            f"trust who wrote the folder: trust=[{url}]"
        )
    return open_storage(url)


def is_file(url: URL) -> bool:
    """Whether a database is a file of this machine."""
    return url.get_backend_name() == "sqlite"


def _secrets(url: URL) -> list[str]:
    """What an address names that nobody else may read."""
    found = ["password"] if url.password else []
    return found + [name for name in url.query if "password" in name.lower()]
