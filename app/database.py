"""The engine, its pool, and the tables; SQLite by default, PostgreSQL by DATABASE_URL."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from sqlalchemy import Engine, QueuePool, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.models import Base
from app.settings import Settings

T = TypeVar("T")

logger = logging.getLogger(__name__)

BUSY_TIMEOUT = 5.0
"""Seconds that a SQLite write waits for another writer; readers never wait, thanks to the write-ahead log."""

_SCHEMA_LOCK = 0x7061_6369  # any constant: workers that start together take the same advisory lock

# libpq's own deadlines: without them a database behind a dead network holds a thread for 15 minutes and more.
_POSTGRES_ARGS = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SQLITE_ARGS = {"timeout": BUSY_TIMEOUT, "check_same_thread": False}


def make_engine(settings: Settings) -> Engine:
    """Opens no connection yet. Parameters of statements, such as addresses, stay out of tracebacks."""
    sqlite = settings.url.get_backend_name() == "sqlite"
    engine = create_engine(
        settings.url,
        poolclass=QueuePool,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_recycle=settings.db_pool_recycle,
        pool_timeout=settings.db_pool_timeout,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=_SQLITE_ARGS if sqlite else _POSTGRES_ARGS,
    )
    if sqlite:
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")  # durable enough with a write-ahead log, and fsyncs less


def init_db(engine: Engine) -> None:
    """Create the tables that are missing. Safe in several processes at once: one creates, the others wait."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        Base.metadata.create_all(connection)


def in_own_thread(call: Callable[[], T]) -> Future[T]:
    """Not in a pool, which may be busy; a daemon, since a frozen database must not hold up the exit."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits for the future
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=f"own-{getattr(call, '__name__', 'call')}").start()
    return future


class Schema:
    """Makes the tables in the background until that succeeds, so that the API starts without a database."""

    def __init__(self, engine: Engine, retry: float = 2.0) -> None:
        self._engine = engine
        self._retry = retry
        self._stopped = threading.Event()
        self.exists = threading.Event()

    def start(self) -> Future[None]:
        """Its result comes when the tables exist, or after `stop`."""
        return in_own_thread(self._keep_trying)

    def stop(self) -> None:
        self._stopped.set()

    def _keep_trying(self) -> None:
        while not self._stopped.is_set():
            try:
                init_db(self._engine)
            except SQLAlchemyError as error:
                logger.critical("database offline, its tables are not ready: %s", type(error).__name__)
                self._stopped.wait(self._retry)
            else:
                self.exists.set()
                return


async def _sessions(request: Request) -> Any:
    return request.app.state.sessions


# Endpoints get the factory, not a session, and open one inside their own thread. A session that lives from
# one dependency to the next keeps its connection while it queues for a thread: with pool and threads full,
# each waits for the other.
Sessions = Annotated[sessionmaker[Session], Depends(_sessions)]
