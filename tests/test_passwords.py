"""No password reaches a file: of a database, of W&B, of anything that a command line names."""

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL, make_url

from oadls import compare
from oadls.errors import UserError
from oadls.passwords import holds_password, refuse_passwords
from oadls.sweep import __main__ as sweep
from oadls.sweep.storage import check_storage, open_storage, written
from tests.databases import SECRET

ADDRESS = f"postgresql+psycopg://oadls:{SECRET}@host/name"
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x250), min_size=1, max_size=12)


def address(password: str | None, /, **query: str) -> str:
    made = URL.create("postgresql+psycopg", "oadls", password, "host", 5432, "name", query)
    return made.render_as_string(hide_password=False)


@given(WORDS)
def test_a_password_in_an_address_is_seen_and_never_written(password: str) -> None:
    for url in (address(password), address(None, password=password)):
        assert holds_password(f"hydra.sweeper.storage={url}")
        kept = written(url)
        assert not holds_password(kept)
        assert make_url(kept).password is None
        assert (make_url(kept).username, make_url(kept).host) == ("oadls", "host")
    plain = address(None)
    assert not holds_password(f"hydra.sweeper.storage={plain}")
    assert written(plain) == plain


@pytest.mark.parametrize(
    "argument",
    [
        f"hydra.sweeper.storage={ADDRESS}",
        f"hydra.sweeper.storage=mysql://root:{SECRET}@host/name",
        f"hydra.sweeper.storage=postgresql://oadls@host/name?password={SECRET}",
        f"hydra.sweeper.storage=${{oc.env:NONE,{ADDRESS}}}",
        f"+logger.base_url=https://me:{SECRET}@wandb.example",
        f"hydra.job.env_set.PGPASSWORD={SECRET}",
        f"hydra.job.env_set={{PGPASSWORD: {SECRET}}}",
        "hydra.job.env_set.PGPASSWORD=${oc.env:PGPASSWORD}",  # Hydra resolves it, then writes it
        "hydra.job.env_copy=[WANDB_API_KEY]",
        ADDRESS,
    ],
)
def test_a_command_line_with_a_password_is_refused_and_not_repeated(argument: str) -> None:
    with pytest.raises(UserError, match=r"PGPASSWORD.*pgpass.*oc\.env") as refused:
        refuse_passwords(["name=a", argument])
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "argument",
    [
        "hydra.sweeper.storage=${oc.env:STORAGE}",
        "hydra.sweeper.storage=postgresql://oadls:${oc.env:WORD}@host/name",
        "hydra.sweeper.storage=postgresql+psycopg://oadls@host:5432/name?passfile=/home/me/.pgpass",
        "hydra.sweeper.storage=sqlite:////home/me@work/a:b/study.db",
        "data.root=/home/me@work/secret cells/token=1",
        "hydra.launcher.ray.init.address=ray://head:10001",
        "optimizer.lr=choice(1e-3,1e-4)",
    ],
)
def test_other_arguments_are_not(argument: str) -> None:
    refuse_passwords([argument])


@pytest.mark.parametrize("command", ["train", "evaluate", "prepare", "audit"])
def test_hydra_s_commands_refuse_it_before_they_write(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    main = importlib.import_module(f"oadls.{command}").main
    words = [f"hydra.run.dir={tmp_path}/run", f"+storage={ADDRESS}"]
    monkeypatch.setattr(sys, "argv", [command, *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert not list(tmp_path.iterdir())
    printed = capsys.readouterr().err
    assert printed.startswith("oadls: +storage: a password")
    assert SECRET not in printed


def test_the_other_commands_do_as_well(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    assert compare.main(["cells=synthetic", f"folder={tmp_path}", f"+storage={ADDRESS}"]) == 1
    assert sweep.main([f"folder={ADDRESS}"]) == 1
    assert not list(tmp_path.iterdir())
    assert SECRET not in capsys.readouterr().err


def test_a_password_may_come_from_the_environment_alone() -> None:
    check_storage(ADDRESS, "${oc.env:STORAGE}")
    with pytest.raises(UserError, match="storage: a password"):
        check_storage(ADDRESS, ADDRESS)
    with pytest.raises(UserError, match="storage: a password"):
        check_storage(ADDRESS, "${mine}")  # from a config file, which is written down too


@pytest.mark.parametrize("url", ["nonsense", "", None, "://"])
def test_what_is_no_address_is_named(url: object) -> None:
    with pytest.raises(UserError, match="no address of a database"):
        check_storage(url, url)


def test_a_database_that_lets_nobody_in_is_named_without_its_password(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    wrong = make_url(server)._replace(password="wrong").render_as_string(hide_password=False)
    with pytest.raises(UserError, match=r"cannot be opened .*PGPASSWORD") as refused:
        open_storage(wrong)
    assert "wrong" not in str(refused.value)


def test_libpq_finds_the_password_in_its_own_file(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    own = tmp_path / "pgpass"
    own.write_text(f"127.0.0.1:*:*:oadls:{SECRET}\n")
    own.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(own))
    assert open_storage(server).get_all_studies() is not None
