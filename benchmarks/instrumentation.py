"""What instrumenting one request costs, in CPU: `python -m benchmarks.instrumentation`.

The contenders take turns in one process, round by round, so that a noisy neighbour hits all of them; printed
are medians over the rounds. The middlewares wrap the same bare ASGI app, whose own cost is subtracted.
The bare pair is the least that counting and timing cost: `Counter.inc` and `Histogram.observe` on cached
children. All of it again in multiprocess mode, where each value is written to a mapped file.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_fastapi_instrumentator.middleware import PrometheusInstrumentatorMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporters.asgi import BUCKETS, instrument

ROUNDS = 40
REQUESTS_PER_ROUND = 500
AIM_BARE, AIM_INSTRUMENTATOR = 1.5, 0.25

Drive = Callable[[], Awaitable[None]]


def endpoint(request: Request) -> Response:
    raise NotImplementedError("the bare app below answers in its place")


ROUTE = Route("/clients/{client_id}", endpoint)
APP = Starlette(routes=[ROUTE])
SCOPE: Scope = {
    "type": "http",
    "method": "GET",
    "path": "/clients/7",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"api.example")],
    "app": APP,
}
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY: Message = {"type": "http.response.body", "body": b"ok"}


class Connection:
    """A server's end of one request: bound methods, as uvicorn's are, and the flag that it keeps."""

    disconnected = False

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        pass


async def bare_app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    scope.update(route=ROUTE, endpoint=endpoint, path_params={"client_id": "7"})
    await send(START)
    await send(BODY)


def asgi_requests(app: ASGIApp) -> Drive:
    connection = Connection()

    async def drive() -> None:
        for _ in range(REQUESTS_PER_ROUND):
            await app(dict(SCOPE), connection.receive, connection.send)

    return drive


def ours() -> ASGIApp:
    app = Starlette(routes=[ROUTE])
    app.build_middleware_stack = lambda: bare_app  # type: ignore[method-assign]
    instrument(app, registry=CollectorRegistry())
    return app.build_middleware_stack()


def cached_pair() -> Drive:
    names = ["method", "route", "status"]
    labels = ("GET", "/clients/{client_id}", "200")
    registry = CollectorRegistry()
    counter = Counter("bare_requests", "Bare counter.", names, registry=registry).labels(*labels)
    histogram = Histogram("bare_seconds", "Bare histogram.", names, registry=registry, buckets=BUCKETS)
    observer = histogram.labels(*labels)

    async def drive() -> None:
        for _ in range(REQUESTS_PER_ROUND):
            counter.inc()
            observer.observe(0.00002)

    return drive


async def microseconds_per_request(drive: Drive) -> float:
    started = time.process_time_ns()
    await drive()
    return (time.process_time_ns() - started) / 1000 / REQUESTS_PER_ROUND


async def measure() -> dict[str, float]:
    """Median CPU microseconds per request: the pair, and each middleware without the app that it wraps."""
    drives = {
        "app": asgi_requests(bare_app),
        "pair": cached_pair(),
        "ours": asgi_requests(ours()),
        "instrumentator": asgi_requests(
            PrometheusInstrumentatorMiddleware(bare_app, registry=CollectorRegistry())
        ),
    }
    rounds = [
        {name: await microseconds_per_request(drive) for name, drive in drives.items()}
        for _ in range(ROUNDS + 3)
    ][3:]
    pair = statistics.median(spent["pair"] for spent in rounds)
    own = {
        name: statistics.median(spent[name] - spent["app"] for spent in rounds)
        for name in ("ours", "instrumentator")
    }
    return {"pair": pair, **own}


def report(cost: dict[str, float]) -> None:
    mode = "one process" if values.ValueClass is values.MutexValue else "multiprocess mode"
    print(f"{mode}, CPU per request, median of {ROUNDS} rounds of {REQUESTS_PER_ROUND}")
    print(f"  bare Counter.inc + Histogram.observe {cost['pair']:6.2f} us")
    print(f"  exporters.asgi                       {cost['ours']:6.2f} us")
    print(f"  prometheus-fastapi-instrumentator    {cost['instrumentator']:6.2f} us")
    for name, rival, aim in (
        ("bare pair", "pair", AIM_BARE),
        ("instrumentator", "instrumentator", AIM_INSTRUMENTATOR),
    ):
        print(f"  ours / {name:29} {cost['ours'] / cost[rival]:6.2f}    aim: at most {aim}", flush=True)


def main() -> None:
    report(asyncio.run(measure()))
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.instrumentation"],
                env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder},
                check=True,
                timeout=60,
            )


if __name__ == "__main__":
    main()
