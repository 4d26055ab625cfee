from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Thread

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from exporters.asgi import BUCKETS, instrument
from tests.exporters.pages import Page, read
from tests.exporters.requests_by_hand import (
    Ask,
    ask,
    ask_patiently,
    client,
    counts,
    in_progress,
    raises,
    says_ok,
    scope_of,
    serving,
    start_up,
    total_seconds,
    until,
    watched,
)


async def test_what_the_error_handler_makes_of_an_exception_is_what_counts() -> None:
    async def unavailable(request: Request, exc: Exception) -> Response:
        return JSONResponse({}, status_code=503)

    app, registry = watched(Route("/boom", raises), exception_handlers={Exception: unavailable})
    assert (await client(app).get("/boom")).status_code == 503
    assert counts(registry) == {("GET", "/boom", "503"): 1}


async def test_an_exception_in_middleware_counts_as_500() -> None:
    class Broken(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            raise ZeroDivisionError

    app, registry = watched(Route("/x", says_ok))
    app.add_middleware(Broken)
    assert (await client(app).get("/x")).status_code == 500
    assert counts(registry) == {("GET", "unmatched", "500"): 1}


async def test_a_response_that_the_app_tears_counts_as_500() -> None:
    async def torn(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    async def unfinished(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    app, registry = watched(Mount("/torn", torn), Mount("/unfinished", unfinished), Mount("/silent", silent))
    with pytest.raises(ZeroDivisionError):
        await ask(app, "/torn/")
    await ask(app, "/unfinished/")
    await ask(app, "/silent/")
    assert counts(registry) == {
        ("GET", "/torn/{path}", "500"): 1,
        ("GET", "/unfinished/{path}", "500"): 1,
        ("GET", "/silent/{path}", "500"): 1,
    }
    assert in_progress(registry) == 0


async def test_a_client_that_leaves_counts_as_499() -> None:
    async def upload(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def drips(request: Request) -> Response:
        async def forever() -> AsyncIterator[bytes]:
            while True:
                yield b"drop"
                await asyncio.sleep(0)

        return StreamingResponse(forever())

    app, registry = watched(Route("/upload", upload, methods=["POST"]), Route("/drips", drips))
    with contextlib.suppress(Exception):  # starlette's ClientDisconnect, which the server logs
        await ask(app, "/upload", "POST", {"type": "http.request", "body": b"a", "more_body": True})
    await ask(app, "/drips")
    assert counts(registry) == {("POST", "/upload", "499"): 1, ("GET", "/drips", "499"): 1}
    assert in_progress(registry) == 0


async def test_a_cancelled_request_counts_as_499() -> None:
    async def waits(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    app, registry = watched(Route("/waits", waits))
    request = asyncio.create_task(ask(app, "/waits"))
    await asyncio.sleep(0)
    assert in_progress(registry) == 1
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert counts(registry) == {("GET", "/waits", "499"): 1}
    assert in_progress(registry) == 0


async def test_the_duration_of_a_stream_ends_with_its_last_byte_and_before_background_tasks() -> None:
    started, drop, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stream(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            started.set()
            await drop.wait()
            yield b"last"

        return StreamingResponse(body(), background=BackgroundTask(finished.wait))

    app, registry = watched(Route("/stream", stream))
    request = asyncio.create_task(ask_patiently(app, "/stream"))
    await started.wait()
    await asyncio.sleep(0.15)
    assert counts(registry) == {}
    drop.set()
    await until(lambda: bool(counts(registry)))
    assert not request.done()
    assert in_progress(registry) == 0
    finished.set()
    await request
    assert counts(registry) == {("GET", "/stream", "200"): 1}
    assert total_seconds(registry, method="GET", route="/stream", status="200") >= 0.15


async def test_concurrent_requests_are_in_progress_until_answered() -> None:
    gate = asyncio.Event()

    async def waits(request: Request) -> Response:
        await gate.wait()
        return Response()

    app, registry = watched(Route("/waits", waits))
    requests = [asyncio.create_task(ask(app, "/waits")) for _ in range(50)]
    await asyncio.sleep(0)
    assert in_progress(registry) == 50
    gate.set()
    await asyncio.gather(*requests)
    assert in_progress(registry) == 0
    assert counts(registry) == {("GET", "/waits", "200"): 50}


async def test_counts_are_exact_when_several_threads_serve() -> None:
    app, registry = watched(Route("/x", says_ok))

    async def many() -> None:
        for _ in range(500):
            await ask(app, "/x")

    threads = [Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(registry) == {("GET", "/x", "200"): 2000}
    assert in_progress(registry) == 0


async def test_each_duration_is_in_its_bucket_and_the_last_bucket_is_the_count() -> None:
    app, registry = watched(Route("/x", says_ok))
    await client(app).get("/x")
    page: Page = read(registry)
    edges = {
        dict(pairs)["le"]: value
        for (name, pairs), value in page.items()
        if name == "http_request_duration_seconds_bucket" and ("status", "200") in pairs
    }
    assert list(edges) == [*map(str, BUCKETS), "+Inf"]
    assert edges["+Inf"] == 1
    assert list(edges.values()) == sorted(edges.values())


async def test_websockets_and_lifespan_pass_untouched() -> None:
    started: list[bool] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        started.append(True)
        yield

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    app, registry = watched(WebSocketRoute("/echo", echo), lifespan=lifespan)
    await start_up(app)
    talk = Ask({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"})
    await app({**scope_of("/echo"), "type": "websocket"}, talk.receive, talk.send)
    assert talk.sent[-1] == {"type": "websocket.send", "text": "hello"}
    assert started == [True]
    assert counts(registry) == {}


async def test_too_late_is_an_error_that_names_the_cure() -> None:
    app = Starlette(routes=[Route("/x", says_ok)])
    await client(app).get("/x")
    with pytest.raises(RuntimeError, match="before the app serves its first request"):
        instrument(app, registry=CollectorRegistry())


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_behind_a_real_uvicorn(http: str) -> None:
    async def slow(request: Request) -> Response:
        arrived.set()
        await gone.wait()
        await asyncio.sleep(0.05)  # for the server to read that the connection is closed
        return PlainTextResponse("to nobody")

    arrived, gone = asyncio.Event(), asyncio.Event()
    app, registry = watched(Route("/slow", slow), Route("/x", says_ok), Route("/boom", raises))
    async with serving(app, http) as (host, port):
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as browser:
            assert (await browser.get("/x")).text == "ok"
            assert (await browser.get("/boom")).status_code == 500
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await arrived.wait()
        writer.close()
        await writer.wait_closed()
        gone.set()
        await until(lambda: in_progress(registry) == 0)
    assert counts(registry) == {
        ("GET", "/x", "200"): 1,
        ("GET", "/boom", "500"): 1,
        ("GET", "/slow", "499"): 1,
    }


WORKER = """
import asyncio, sys
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route
from exporters.asgi import instrument
from tests.exporters.requests_by_hand import ask, says_ok, raises

async def main():
    app = Starlette(routes=[Route("/x", says_ok), Route("/boom", raises)])
    instrument(app, registry=CollectorRegistry())
    for _ in range(int(sys.argv[1])):
        await ask(app, "/x")
    for _ in range(int(sys.argv[2])):
        try:
            await ask(app, "/boom")
        except ZeroDivisionError:
            pass

asyncio.run(main())
"""


def test_several_processes_add_up(tmp_path: Path) -> None:
    from prometheus_client.multiprocess import MultiProcessCollector

    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for ok, failed in ((100, 3), (50, 4)):
        subprocess.run(
            [sys.executable, "-c", WORKER, str(ok), str(failed)], env=environment, check=True, timeout=60
        )
    merged = CollectorRegistry()
    MultiProcessCollector(merged, str(tmp_path))  # type: ignore[no-untyped-call]
    assert counts(merged) == {("GET", "/x", "200"): 150, ("GET", "/boom", "500"): 7}
    assert in_progress(merged) == 0


HANGS = """
import asyncio, os
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.routing import Route
from tests.exporters.requests_by_hand import ask, in_progress, says_ok, until, watched

async def hangs(request):
    await asyncio.sleep(60)

async def main():
    app, _ = watched(Route("/x", says_ok), Route("/hangs", hangs))
    merged = CollectorRegistry()
    MultiProcessCollector(merged)
    requests = [asyncio.create_task(ask(app, path)) for path in ("/hangs", "/x", "/hangs")]
    await until(lambda: in_progress(merged) == 2)
    requests[0].cancel()
    await until(lambda: in_progress(merged) == 1)
    requests[2].cancel()
    await until(lambda: in_progress(merged) == 0)

asyncio.run(main())
"""


def test_requests_that_hang_show_in_multiprocess_mode_although_nothing_follows_them(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", HANGS], env=environment, check=True, timeout=60)
