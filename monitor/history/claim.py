"""One agent to a store: two would tell everything twice, and each would forget what the other one remembers.

The claim is the kernel's or the server's, so however an agent ends, it is released: a lock on a file beside
SQLite's, an advisory lock of a session on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

AGENT = 0x9AC1012
PATIENCE = 5.0
"""Seconds for an agent that is just ending, or was killed a moment ago."""
LOOK_EVERY = 0.2
NOTICES_DEATH = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
"""Or a machine that lost its power would keep its claim for hours."""


class TakenError(SQLAlchemyError):
    def __init__(self) -> None:
        super().__init__("another agent uses it; end that one, or give this one a store of its own")


@contextlib.contextmanager
def claimed(url: str, patience: float = PATIENCE) -> Iterator[None]:
    """Holds the store at `url` until the block ends.

    Raises TakenError when another agent still has it after `patience` seconds. A store that can't be reached
    is not claimed: opening it says why.
    """
    where = sa.make_url(url)
    with contextlib.ExitStack() as held:
        taking = _postgresql(where, held) if where.get_backend_name() == "postgresql" else _file(where, held)
        deadline = time.monotonic() + patience
        while taking and not taking():
            if time.monotonic() > deadline:
                raise TakenError
            time.sleep(LOOK_EVERY)
        yield


def _file(where: sa.URL, held: contextlib.ExitStack) -> Callable[[], bool] | None:
    """Not SQLite's own file: whoever closes that a second time lets go of SQLite's locks."""
    if not where.database or where.database == ":memory:":
        return None
    try:
        number = os.open(f"{where.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    held.callback(os.close, number)

    def take() -> bool:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return take


def _postgresql(where: sa.URL, held: contextlib.ExitStack) -> Callable[[], bool] | None:
    engine = sa.create_engine(
        where.set(drivername="postgresql+psycopg2"),
        poolclass=sa.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": int(PATIENCE), "options": NOTICES_DEATH},
    )
    try:
        connection = held.enter_context(engine.connect())
    except SQLAlchemyError:
        return None
    return lambda: bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(AGENT))))
