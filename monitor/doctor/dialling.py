"""A connection tried by hand, where more must be known than that it failed."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds for the look-up, and for the connection."""


class Line(StrEnum):
    OPEN = "accepts connections"
    NO_NAME = "the name has no address"
    REFUSED = "connection refused"
    SILENT = "no answer to the connection"
    NO_ROUTE = "no way to that address"


_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Dialled:
    line: Line
    address: str = ""

    def said(self, host: str, port: int) -> str:
        where = f" ({self.address})" if self.address and self.address != host else ""
        return f"{host}{where} port {port}: {self.line}"


def apart(call: Callable[[], T]) -> asyncio.Future[T]:
    """In a daemon thread: what hangs there holds up neither the loop nor the end of the process."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(done)


async def dial(host: str, port: int) -> Dialled:
    """Never raises. Tries the first address only, as it stands in the resolver's answer."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await apart(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    except (OSError, TimeoutError, UnicodeError):
        return Dialled(Line.NO_NAME)
    family, _, _, _, where = found[0]
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(TIMEOUT):
                await loop.sock_connect(connection, where)
        except TimeoutError:
            return Dialled(Line.SILENT, str(where[0]))
        except OSError as error:
            return Dialled(Line.NO_ROUTE if error.errno in _NO_ROUTE else Line.REFUSED, str(where[0]))
    return Dialled(Line.OPEN, str(where[0]))
