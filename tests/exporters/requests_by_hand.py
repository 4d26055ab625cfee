"""Apps asked without a server, or by a hand that plays one, and what was counted then."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Scope

from exporters.asgi import instrument
from tests.exporters.pages import read

Counts = dict[tuple[str, str, str], float]


def counts(registry: CollectorRegistry) -> Counts:
    """Requests by (method, route, status), without the series that nothing has been counted in."""
    return {key: count for key, count in all_counts(registry).items() if count}


def all_counts(registry: CollectorRegistry) -> Counts:
    page = read(registry)
    return {
        (labels["method"], labels["route"], labels["status"]): value
        for (name, pairs), value in page.items()
        if name == "http_request_duration_seconds_count" and (labels := dict(pairs))
    }


def in_progress(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("http_requests_in_progress")


def total_seconds(registry: CollectorRegistry, **labels: str) -> float:
    value = registry.get_sample_value("http_request_duration_seconds_sum", labels)
    assert value is not None
    return value


async def says_ok(request: Request) -> Response:
    return PlainTextResponse("ok")


async def raises(request: Request) -> Response:
    raise ZeroDivisionError


def watched(*routes: Any, **options: Any) -> tuple[Starlette, CollectorRegistry]:
    app, registry = Starlette(routes=list(routes), **options), CollectorRegistry()
    instrument(app, registry=registry)
    return app, registry


def client(app: Starlette, root_path: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}


class Ask:
    """A server's end of one request, driven by hand."""

    def __init__(self, *incoming: Message) -> None:
        self.incoming = [*incoming, {"type": "http.disconnect"}]
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def scope_of(path: str, method: str = "GET") -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "asgi": {"spec_version": "2.3"},
    }


async def ask(app: Any, path: str, method: str = "GET", *incoming: Message) -> Ask:
    server = Ask(*(incoming or (REQUEST,)))
    await app(scope_of(path, method), server.receive, server.send)
    return server


async def ask_patiently(app: Any, path: str) -> None:
    """A client that stays."""
    server = Ask()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await app(scope_of(path), receive, server.send)


async def start_up(app: Starlette) -> None:
    """What a server does before and after it serves."""
    server = Ask({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await app({"type": "lifespan", "state": {}}, server.receive, server.send)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - nobody is there to set an event
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(app: Starlette, http: str) -> AsyncIterator[tuple[str, int]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http=http))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            await running
