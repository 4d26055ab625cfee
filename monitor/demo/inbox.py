"""The on-call inbox: takes the body of Alertmanager's webhook, version 4. Orders come in beside it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

LARGEST_BODY = 1_000_000
TOKEN_HEADER = "x-demo-token"  # noqa: S105 - a name

Order = Callable[[str, str], Awaitable[str]]
"""From action and fault name ("" for all) to what was done. Raises ValueError saying why not."""


class Notice(NamedTuple):
    """One alert of one notification, as it arrived."""

    at: datetime
    status: str
    alert: str
    severity: str
    summary: str
    value: str
    threshold: str
    reason: str
    runbook: str

    @property
    def firing(self) -> bool:
        return self.status == "firing"


class Inbox:
    def __init__(self, arrived: Callable[[Notice], None], order: Order, token: str) -> None:
        self._arrived = arrived
        self._order = order
        self._token = token
        self.web = Starlette(
            routes=[
                Route("/alerts", self._receive, methods=["POST"]),
                Route("/{action:str}", self._obey, methods=["POST"]),
                Route("/{action:str}/{name:str}", self._obey, methods=["POST"]),
            ]
        )

    async def _receive(self, request: Request) -> Response:
        if int(request.headers.get("content-length", LARGEST_BODY + 1)) > LARGEST_BODY:
            return PlainTextResponse("too large, or of unknown length\n", 413)
        try:
            notices = list(read_notices(await request.json(), datetime.now().astimezone()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return PlainTextResponse(f"not an Alertmanager webhook, version 4: {error!r}\n", 400)
        for notice in notices:
            self._arrived(notice)
        return Response(status_code=204)

    async def _obey(self, request: Request) -> Response:
        """Any page in a browser can post to loopback; only who can read the run folder has the token."""
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, ""), self._token):
            return PlainTextResponse("only `paciolus-monitor` of the same user may do this\n", 403)
        path = request.path_params
        try:
            return PlainTextResponse(await self._order(path["action"], path.get("name", "")))
        except ValueError as error:
            return PlainTextResponse(str(error), 409)


def read_notices(body: Any, at: datetime) -> Iterator[Notice]:
    """Raises ValueError, KeyError, TypeError or AttributeError when it isn't what Alertmanager sends."""
    if body["version"] != "4":
        raise ValueError(f"version {body['version']!r}")
    for alert in body["alerts"]:
        labels, said = alert["labels"], alert["annotations"]
        words = (str(said.get(each, "")) for each in ("summary", "value", "threshold", "reason", "runbook"))
        severity = str(labels.get("severity", ""))
        yield Notice(at, str(alert["status"]), str(labels["alertname"]), severity, *words)


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
