"""A PostgreSQL server of the tests' own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.needs import missing

SECRET = "hunter2-never-written"


@contextmanager
def postgresql() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; CI must have the server, a laptop may not.

    It lets nobody in without SECRET, which is not in the URL.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))  # Debian keeps it off PATH
    control = shutil.which("pg_ctl") or (str(found[-1]) if found else None)
    if control is None:
        missing("install PostgreSQL")
    # the server refuses to be run by root
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = Path(mkdtemp())
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*arguments: str) -> None:
        subprocess.run(
            [*user, control, "-D", folder / "data", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )

    given = folder / "password"
    given.write_text(SECRET)
    if user:
        shutil.chown(given, "postgres")
    run("initdb", "-o", f"-A scram-sha-256 -U oadls --pwfile={given} --no-sync")
    run("start", "-w", "-l", folder / "log", "-o", f"-p {port} -h 127.0.0.1 -k {folder}")
    try:
        yield f"postgresql+psycopg://oadls@127.0.0.1:{port}/postgres"
    finally:
        run("stop", "-m", "immediate")
        shutil.rmtree(folder)
