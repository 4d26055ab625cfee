"""The engine, its pool, and the tables; SQLite by default, PostgreSQL by DATABASE_URL."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app import migrations
from app.deadlines import DeadlinePool, patient
from app.settings import Settings

T = TypeVar("T")

logger = logging.getLogger(__name__)

BUSY_TIMEOUT = 5.0
"""Seconds that a SQLite write waits for another writer; readers never wait, thanks to the write-ahead log."""

GRACE = 0.5
"""Seconds that a server has to say that it cancelled a statement itself, before its connection is closed."""
LONGEST_IDLE_TRANSACTION = 60
"""Seconds; a worker that froze in the middle of one does not keep its locks for ever."""

# What TCP itself can notice: a peer that is gone. Without them that takes 15 minutes and more.
_KEEPALIVES = {
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
        poolclass=DeadlinePool,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_recycle=settings.db_pool_recycle,
        pool_timeout=settings.db_pool_timeout,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=_SQLITE_ARGS if sqlite else _postgres_args(settings.url, settings.db_statement_timeout),
    )
    if sqlite:
        event.listen(engine, "connect", _configure_sqlite)
    else:
        event.listen(engine, "do_connect", _introduce)
    return engine


def _postgres_args(url: URL, statement_timeout: float) -> dict[str, Any]:
    limits = {
        "statement_timeout": statement_timeout,
        "idle_in_transaction_session_timeout": LONGEST_IDLE_TRANSACTION,
    }
    options = [f"-c {name}={seconds * 1000:.0f}" for name, seconds in limits.items()]
    return {
        **_KEEPALIVES,
        "connection_factory": patient(statement_timeout + GRACE),
        "options": " ".join([*options, str(url.query.get("options", ""))]),
    }


def _introduce(_dialect: object, _record: object, _args: object, parameters: dict[str, Any]) -> None:
    # With each connection: the engine may be older than the fork that made this worker.
    parameters.setdefault("application_name", f"paciolus-api/{os.getpid()}@{socket.gethostname()}"[:63])


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")  # durable enough with a write-ahead log, and fsyncs less


def init_db(engine: Engine) -> None:
    """Bring an empty or older database to this release. Safe in several processes at once."""
    revision = migrations.current(engine)
    if revision == migrations.head():
        return
    if revision and not migrations.is_known(revision):
        logger.warning("the database is at revision %s of a newer release, and is left there", revision)
        return
    migrations.upgrade(engine)


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
    """Brings the tables to this release in the background, so that the API starts without a database."""

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
