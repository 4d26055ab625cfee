"""How long a request may wait for its database before it becomes a 503, whatever state the database is in.

A frozen server keeps its sockets open, so neither libpq nor TCP notices it. psycopg2 waits in here instead
of in C (its wait callback, 3 us per round trip), and each wait ends at the nearest of three deadlines: for
one answer, for a checkout from the pool, for the whole request. A connection that is late is closed and
never put back into the pool.

The request's deadline is a moment, not a duration: whoever stood in line for a thread or a connection until
then is refused at once, so a queue of any length is gone when its youngest request is due.
"""

from __future__ import annotations

import math
import select
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

import psycopg2
import psycopg2.extensions
from sqlalchemy import QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import queue
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CHECKOUT_PATIENCE = 3.0
"""Seconds for a connection to open, or to answer the ping before its use; a live server needs few ms."""
LEAST_PATIENCE = 0.1
"""Seconds for any one answer: a sound connection is not closed because its request is nearly due."""


class NoAnswerError(psycopg2.OperationalError):
    """The database said nothing in time; its connection is closed."""


class _Due:
    """The moment when a request has waited long enough; its threads and its event loop share one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        self.moment = monotonic() + self._seconds


_due: ContextVar[_Due | None] = ContextVar("due", default=None)
_checking_out: ContextVar[bool] = ContextVar("checking_out", default=False)


def seconds_left() -> float:
    """Until the request is due; infinite outside of requests, negative when late."""
    due = _due.get()
    return due.moment - monotonic() if due else math.inf


@contextmanager
def due_in(seconds: float) -> Iterator[None]:
    """All database work of the block is done in so many seconds, or raises."""
    token = _due.set(_Due(seconds))
    try:
        yield
    finally:
        _due.reset(token)


def restart() -> None:
    """Count anew for this request: after long work of its own, of which the database knows nothing."""
    if due := _due.get():
        due.restart()


class Deadlines:
    """ASGI middleware: each request is due so many `seconds` after the last byte of it came in."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        due = _Due(self._seconds)

        async def timed_receive() -> Message:
            message = await receive()
            due.restart()
            return message

        token = _due.set(due)
        try:
            await self._app(scope, timed_receive, send)
        finally:
            _due.reset(token)


class PatientConnection(psycopg2.extensions.connection):
    """Waits `patience` seconds for an answer. Set it per connection where a statement may take longer."""

    patience = math.inf


def patient(seconds: float) -> type[PatientConnection]:
    """A connection class for `connection_factory`; installs the wait callback for this process."""
    psycopg2.extensions.set_wait_callback(_wait)
    return type("PatientConnection", (PatientConnection,), {"patience": seconds})


def _wait(connection: psycopg2.extensions.connection) -> None:
    # Every psycopg2 connection of the process comes here; those of others wait for ever, as they would in C.
    patience = math.inf
    if isinstance(connection, PatientConnection):
        patience = CHECKOUT_PATIENCE if _checking_out.get() else connection.patience
        patience = max(min(patience, seconds_left()), LEAST_PATIENCE)
    until = monotonic() + patience
    while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
        left = until - monotonic()
        if not _ready(connection, state, left):
            raise NoAnswerError(f"no answer from the database within {patience:.1f} s")


def _ready(connection: psycopg2.extensions.connection, state: int, seconds: float) -> bool:
    # poll, not select: that fails for descriptors above 1023, and a busy server has them.
    waiting = select.poll()
    reading = state == psycopg2.extensions.POLL_READ
    waiting.register(connection.fileno(), select.POLLIN if reading else select.POLLOUT)
    return bool(waiting.poll(None if seconds == math.inf else max(0.0, seconds) * 1000))


class _Queue(queue.Queue[ConnectionPoolEntry]):
    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        return super().get(block, timeout if timeout is None else max(0.0, min(timeout, seconds_left())))


class DeadlinePool(QueuePool):
    """A QueuePool in which nobody waits longer than the request has left."""

    __module__ = QueuePool.__module__  # whose logger it shares
    _queue_class = _Queue

    def connect(self) -> PoolProxiedConnection:
        """Raises PoolTimeoutError when no connection is free in time, or the request is already due."""
        if seconds_left() <= 0:
            raise PoolTimeoutError("the request is due, and has not had its turn with the database")
        token = _checking_out.set(True)
        try:
            return super().connect()
        finally:
            _checking_out.reset(token)
