"""Who listens: real notifiers post to them, over a network that is made up and may be out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from monitor.conversations import Kind
from monitor.notify.page import PageContent, parse_page

Sleep = Callable[[float], Awaitable[None]]
_Client = httpx.AsyncClient


@dataclass(frozen=True, slots=True)
class Outage:
    """`status` None: nothing is there; 0: it hangs. `takes_it`: it answers so, but has the message."""

    receiver: str
    start: float
    end: float
    status: int | None = None
    retry_after: int | None = None
    takes_it: bool = False


class Heard(NamedTuple):
    """By whom, and when, in seconds since the story began."""

    at: float
    receiver: str
    page: PageContent
    body: str

    @property
    def kind(self) -> Kind:
        return self.page.kind


@dataclass(slots=True)
class Receivers:
    outages: list[Outage] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    tries: list[tuple[float, str]] = field(default_factory=list)
    now: Callable[[], float] = lambda: 0.0
    sleep: Sleep = asyncio.sleep

    def client(self, **how: Any) -> httpx.AsyncClient:
        """In place of httpx.AsyncClient."""
        return _Client(transport=httpx.MockTransport(self._take), **how)

    async def _take(self, request: httpx.Request) -> httpx.Response:
        receiver, at = request.url.host, self.now()
        self.tries.append((at, receiver))
        wrong = [each for each in self.outages if each.receiver == receiver and each.start <= at < each.end]
        if not wrong or wrong[0].takes_it:
            self._hear(receiver, request.content.decode())
        if not wrong:
            return httpx.Response(200, stream=httpx.ByteStream(b"thank you"))
        return await self._refuse(wrong[0], request)

    async def _refuse(self, outage: Outage, request: httpx.Request) -> httpx.Response:
        if outage.status is None:
            raise httpx.ConnectError("nobody is there", request=request)
        if outage.status == 0:
            await self.sleep(3600.0)
        wait = {"retry-after": str(outage.retry_after)} if outage.retry_after is not None else {}
        return httpx.Response(outage.status or 504, headers=wait, stream=httpx.ByteStream(b"out of order"))

    def _hear(self, receiver: str, body: str) -> None:
        self.heard.append(Heard(self.now(), receiver, parse_page(body), body))

    def understood(self) -> list[Heard]:
        """Each message once: a receiver knows a retry by its key and its body."""
        seen: set[tuple[str, str]] = set()
        found = []
        for each in self.heard:
            identity = (each.receiver, each.body)
            if identity not in seen:
                found.append(each)
            seen.add(identity)
        return found
