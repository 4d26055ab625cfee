"""The revisions of the schema, and how a database gets from one to the next.

Start-up runs `upgrade`, so a fresh database, one from before there were revisions and one of an older release
all end at the head. Every run is one transaction, alone behind a lock, and leaves all or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from app.deadlines import PatientConnection

LONGEST_STATEMENT = 600
"""Seconds: an index over a large table takes longer than any request may."""
LONGEST_WAIT = 5
"""Seconds for a lock: who waits for a busy table lets nobody else at it. Give up, and try again later."""

_SCHEMA_LOCK = 0x7061_6369  # any constant: workers that start together take the same advisory lock

# Alembic keeps the running migration in module globals, so there is room for one in a process.
_one_in_this_process = threading.Lock()


def head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def is_known(revision: str) -> bool:
    """Whether it is one of this release's: a newer release may have left one of its own."""
    revisions = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(known.revision == revision for known in revisions)


def current(engine: Engine) -> str | None:
    """The database's revision; None when it is empty or older than the revisions."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Raises CommandError for a revision that is not there, SQLAlchemyError when the database refuses."""
    _run(engine, command.upgrade, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """`revision` is a name, "-1" or "base", which drops all tables. Raises like `upgrade`."""
    _run(engine, command.downgrade, revision)


def check(engine: Engine) -> None:
    """Raises CommandError with what the models have and the database has not, or the other way round."""
    _run(engine, command.check)


def _run(engine: Engine, do: Callable[..., None], *arguments: str) -> None:
    with alone(engine) as connection, _one_in_this_process:
        config = _config()
        config.attributes["connection"] = connection
        do(config, *arguments)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "app:migrations")
    return config


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that one process at a time can have; kept unless the block raises."""
    with engine.connect() as connection:
        connection.detach()  # closed afterwards: what is set below is not for requests
        if engine.dialect.name == "sqlite":
            _lock_sqlite(connection)
            yield connection
            _refuse_orphans(connection)
        else:
            _lock_postgres(connection)
            yield connection
        connection.commit()


def _lock_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    # SQLite alters a table by copying it and dropping the old one, and with that all rows that refer to it.
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _refuse_orphans(connection: Connection) -> None:
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if orphans:
        raise RuntimeError(f"the migration would leave {len(orphans)} rows that refer to nothing")


def _lock_postgres(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if isinstance(driver, PatientConnection):
        driver.patience = LONGEST_STATEMENT + LONGEST_WAIT
    connection.execute(text(f"SET LOCAL lock_timeout = '{LONGEST_WAIT}s'"))
    connection.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_STATEMENT}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
