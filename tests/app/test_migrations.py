from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from app import migrate, migrations
from app.database import init_db, make_engine
from app.models import Base
from app.settings import Settings
from tests.servers import free_port

HOUSE = Path(__file__).parent.parent.parent
RELEASE_0_1 = Path(__file__).parent.parent / "testdata" / "release_0_1"
"""The tables that release 0.1 made, as pg_dump and sqlite3 tell them, with a row in each."""


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = make_engine(Settings.load(database_url=request.getfixturevalue(request.param)))
    yield engine
    engine.dispose()


def test_models_and_head_agree(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    migrations.check(engine)


def test_a_column_that_no_revision_makes_is_found(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE clients ADD COLUMN colour VARCHAR(10)"))
    with pytest.raises(CommandError, match="colour"):
        migrations.check(engine)


def test_a_fresh_install_is_at_head(engine: Engine) -> None:
    assert migrations.current(engine) is None
    init_db(engine)
    assert migrations.current(engine) == migrations.head()


def test_all_the_way_down_and_up_again(engine: Engine) -> None:
    migrations.upgrade(engine)
    full = schema(engine)
    for _ in revisions():
        migrations.downgrade(engine, "-1")
    assert set(schema(engine)) == {"alembic_version"}
    for revision in revisions():
        migrations.upgrade(engine, revision)
        assert migrations.current(engine) == revision
    assert schema(engine) == full


def revisions() -> list[str]:
    """Oldest first."""
    return sorted(path.name[1:5] for path in (HOUSE / "app/migrations/versions").glob("v*.py"))


def schema(engine: Engine) -> dict[str, list[str]]:
    """The columns, indexes and foreign keys of each table, in words."""
    found = inspect(engine)
    return {
        table: sorted(
            str(part)
            for part in (*found.get_columns(table), *found.get_indexes(table), *found.get_foreign_keys(table))
        )
        for table in found.get_table_names()
    }


@pytest.mark.parametrize("upgrade", [init_db, migrations.upgrade])
def test_a_database_of_release_0_1_keeps_its_rows(engine: Engine, upgrade: Callable[[Engine], None]) -> None:
    make_release_0_1(engine)
    upgrade(engine)
    assert migrations.current(engine) == migrations.head()
    migrations.check(engine)
    with engine.begin() as connection:
        assert rows(connection) == dict.fromkeys(TABLES_0_1, 1)
        # References still work: the user takes all that is theirs along.
        connection.execute(text("DELETE FROM users"))
        assert rows(connection) == dict.fromkeys(TABLES_0_1, 0)


TABLES_0_1 = ("users", "clients", "activity_logs", "diagnostic_summaries")


def rows(connection: Connection) -> dict[str, int | None]:
    return {table: connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES_0_1}


def make_release_0_1(engine: Engine) -> None:
    script = (RELEASE_0_1 / f"{engine.dialect.name}.sql").read_text()
    with engine.begin() as connection:
        for statement in filter(str.strip, script.split(";\n")):
            connection.exec_driver_sql(statement)


def test_downgrading_the_newest_keeps_the_rows_of_the_others(engine: Engine) -> None:
    make_release_0_1(engine)
    migrations.upgrade(engine)
    migrations.downgrade(engine, "0001")
    with engine.begin() as connection:
        assert rows(connection) == dict.fromkeys(TABLES_0_1, 1)


def test_a_migration_that_fails_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def fails_late(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise RuntimeError("the lights went out")

    with monkeypatch.context() as patch:
        patch.setattr("app.migrations.command.upgrade", fails_late)
        with pytest.raises(RuntimeError):
            migrations.upgrade(engine)
    assert inspect(engine).get_table_names() == []
    migrations.upgrade(engine)


def test_an_older_release_leaves_a_newer_schema_alone(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    init_db(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    init_db(engine)
    assert "revision 9999 of a newer release" in caplog.text
    assert migrations.current(engine) == "9999"


def test_a_migration_waits_for_another_only_so_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LONGEST_WAIT", 1)
    engine = make_engine(Settings.load(database_url=postgres_url))
    with migrations.alone(engine), pytest.raises(OperationalError, match="lock timeout"):
        migrations.upgrade(engine)
    migrations.upgrade(engine)
    engine.dispose()


def test_the_command_line(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    head = migrations.head()
    for arguments, words in {
        ("current",): f"at base, head is {head}",
        ("upgrade", "0001"): f"at 0001, head is {head}",
        ("upgrade",): f"at {head}, head is {head}",
        ("check",): f"at {head}, head is {head}",
        ("downgrade", "-1"): f"at 0001, head is {head}",
        ("downgrade", "base"): f"at base, head is {head}",
    }.items():
        monkeypatch.setattr("sys.argv", ["migrate", *arguments])
        migrate.main()
        assert words in capsys.readouterr().out
    for url, words in {
        sqlite_url: "Can't locate revision identified by '9999'",
        "mysql://x": "DATABASE_URL: mysql is not supported",
        f"postgresql://x@127.0.0.1:{free_port()}/x": "Connection refused",
    }.items():
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setattr("sys.argv", ["migrate", "upgrade", "9999"])
        with pytest.raises(SystemExit, match=words):
            migrate.main()


def test_alembic_itself_works_in_a_checkout(sqlite_url: str, tmp_path: Path) -> None:
    alembic = Path(sys.executable).with_name("alembic")
    for arguments in (["upgrade", "head"], ["current"]):
        answer = subprocess.run(
            [alembic, *arguments],
            cwd=HOUSE,
            env={**os.environ, "DATABASE_URL": sqlite_url},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert answer.returncode == 0, answer.stderr
    assert f"{migrations.head()} (head)" in answer.stdout
    with contextlib.closing(sqlite3.connect(tmp_path / "paciolus.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (migrations.head(),)
        ]
