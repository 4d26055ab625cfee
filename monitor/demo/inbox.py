"""The on-call inbox of the demo. Orders come in beside the notifications."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.receiver import Notice, receiver

TOKEN_HEADER = "x-demo-token"  # noqa: S105 - a name

Order = Callable[[str, str], Awaitable[str]]
"""From action and fault name ("" for all) to what was done. Raises ValueError saying why not."""


class Inbox:
    def __init__(self, arrived: Callable[[Notice], None], order: Order, token: str) -> None:
        self._arrived = arrived
        self._order = order
        self._token = token
        self.web = Starlette(
            routes=[
                Route("/alerts", receiver(self._take), methods=["POST"]),
                Route("/{action:str}", self._obey, methods=["POST"]),
                Route("/{action:str}/{name:str}", self._obey, methods=["POST"]),
            ]
        )

    def _take(self, notices: list[Notice], _size: int) -> None:
        for notice in notices:
            self._arrived(notice)

    async def _obey(self, request: Request) -> Response:
        """Any page in a browser can post to loopback; only who can read the run folder has the token."""
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, ""), self._token):
            return PlainTextResponse("only `paciolus-monitor` of the same user may do this\n", 403)
        path = request.path_params
        try:
            return PlainTextResponse(await self._order(path["action"], path.get("name", "")))
        except ValueError as error:
            return PlainTextResponse(str(error), 409)


class _Server(uvicorn.Server):
    """Signals are the demo's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(inbox: Inbox, listening: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        inbox.web,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="inbox")
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.gather(task, return_exceptions=True)
