"""Blocking calls to the store, in threads of their own and each with a deadline, so that a store that is
silent (suspended, its network gone) holds up nothing but itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = 10.0
"""Twice as long as the store itself waits for a lock (monitor/history: BUSY_TIMEOUT)."""
THREADS = 4


class Calls(Protocol):
    """Calls a blocking function, somewhere, and comes back with what it returns or raises."""

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


class StoreSilentError(SQLAlchemyError):
    """No answer within the deadline; whether it was done is not known, nor will be before `over()`."""

    def __init__(self, deadline: float, over: Callable[[], bool]) -> None:
        super().__init__(f"no answer within {deadline:g} s")
        self.over = over


class StoreCalls:
    """Await one instance with a blocking function and its arguments."""

    def __init__(self, engine: sa.Engine, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        if engine.dialect.name == "postgresql":
            # Before SQLAlchemy asks its first questions: those may hang, too.
            sa.event.listen(
                engine, "connect", lambda connection, _: self._connections.add(connection), insert=True
            )

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises what `call` raises, and StoreSilentError after the deadline."""
        running = self._threads.submit(call, *args, **kwargs)
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.wrap_future(running)
        except TimeoutError:
            self._cut_off()
            raise StoreSilentError(self._deadline, running.done) from None

    def blocking(self, within: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same where there is no loop yet, with a deadline of its own."""
        running = self._threads.submit(call, *args, **kwargs)
        try:
            return running.result(within)
        except FutureTimeoutError:
            self._cut_off()
            raise StoreSilentError(within, running.done) from None

    def close(self) -> None:
        self._cut_off()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _cut_off(self) -> None:
        """A suspended server's kernel still answers for it: only a closed connection frees its thread."""
        for connection in list(self._connections):
            with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)


def cause(error: SQLAlchemyError) -> str:
    """In one line, without SQLAlchemy's statement and link."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
