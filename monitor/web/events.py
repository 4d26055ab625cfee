"""Server-sent events: that something changed, not what. Who is slow misses steps in between, no more."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from monitor.web.page import Page
from monitor.web.standing import fingerprint

MOST_CLIENTS = 50
HEARTBEAT = 15.0
SEND_WITHIN = 10.0
LOOK_EVERY = 1.0


async def watch(page: Page) -> None:
    """Until cancelled: compares once a second, and only while somebody listens."""
    before: object = None
    while True:
        if page.changes.listeners:
            after = fingerprint(page.snapshot())
            if after != before and before is not None:
                page.changes.rise()
            before = after
        await asyncio.sleep(LOOK_EVERY)


class EventStream(Response):
    """One client's stream: ends when the client goes, does not read for ten seconds, or the agent ends."""

    media_type = "text/event-stream"

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._changes = page.changes

    @classmethod
    def for_one_more(cls, page: Page) -> Response:
        if page.changes.listeners >= MOST_CLIENTS or page.changes.closed:
            return PlainTextResponse(
                "too many listen; ask /api/v1/status instead\n", 503, {"retry-after": "30"}
            )
        return cls(page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        self._changes.listeners += 1
        try:
            told = asyncio.create_task(self._tell(send))
            gone = asyncio.create_task(_disconnected(receive))
            _, left = await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            await asyncio.wait({told, gone})
        finally:
            self._changes.listeners -= 1

    async def _tell(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        number = self._changes.number
        said = b"retry: 3000\n: hello\n\n"
        with contextlib.suppress(TimeoutError):
            while not self._changes.closed:
                await _within(send, {"type": "http.response.body", "body": said, "more_body": True})
                before, number = number, await self._changes.after(number, HEARTBEAT)
                said = b": still here\n\n" if before == number else _event(number)
        with contextlib.suppress(TimeoutError):
            await _within(send, {"type": "http.response.body", "body": b"", "more_body": False})


async def _within(send: Send, message: dict[str, object]) -> None:
    async with asyncio.timeout(SEND_WITHIN):
        await send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        """The request's body, if there is one, is of no interest."""


def _event(number: int) -> bytes:
    return f"id: {number}\nevent: changed\ndata: {number}\n\n".encode()
