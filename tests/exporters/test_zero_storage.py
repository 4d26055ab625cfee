from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporters.zero_storage import KINDS, MOST_LOGGED, ZeroStorage, carried, forbid_storage
from tests.exporters.pages import value
from tests.servers import eventually

LOGGER = "exporters.zero_storage"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def storage(registry: CollectorRegistry, tmp_path: Path) -> ZeroStorage:
    return ZeroStorage(allowed=[tmp_path / "allowed", tmp_path / "allowed.db", ""], registry=registry)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def counts(registry: CollectorRegistry) -> dict[str, float]:
    """The kinds that were counted."""
    by_kind = {kind: value(registry, "zero_storage_violations_total", kind=kind) for kind in KINDS}
    return {kind: count for kind, count in by_kind.items() if count}


def write(name: str = "leak.csv") -> None:
    Path(name).write_text("1000 Cash,1.00,")


def spool() -> None:
    with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
        spooled.write(b"x" * 11)


def named() -> None:
    tempfile.NamedTemporaryFile().close()


def connect(name: str, *, uri: bool = False) -> Callable[[], None]:
    return lambda: sqlite3.connect(name, uri=uri).close()


def test_all_kinds_are_born_at_0(storage: ZeroStorage, registry: CollectorRegistry) -> None:
    assert {value(registry, "zero_storage_violations_total", kind=kind) for kind in KINDS} == {0}


@pytest.mark.parametrize(
    ("act", "counted"),
    [
        pytest.param(write, {"open": 1}, id="pathlib"),
        pytest.param(lambda: os.close(os.open(b"x", os.O_RDWR | os.O_CREAT)), {"open": 1}, id="os.open"),
        pytest.param(lambda: Path("x").open("ab").close(), {"open": 1}, id="append"),
        pytest.param(lambda: shutil.copyfile(__file__, "copy"), {"open": 1}, id="copy"),
        pytest.param(lambda: tempfile.TemporaryFile().close(), {"tempfile": 1}, id="unlinked temporary file"),
        pytest.param(named, {"tempfile": 1}, id="named temporary file"),
        pytest.param(lambda: os.close(tempfile.mkstemp()[0]), {"tempfile": 1}, id="mkstemp"),
        pytest.param(lambda: Path(tempfile.mkdtemp()).rmdir(), {"tempfile": 1}, id="temporary folder"),
        pytest.param(spool, {"tempfile": 1}, id="spooled"),
        pytest.param(lambda: Path("a").mkdir(), {"mkdir": 1}, id="folder"),
        pytest.param(connect("x.db"), {"database": 1}, id="database"),
        pytest.param(connect("file:y.db?cache=shared", uri=True), {"database": 1}, id="database by URI"),
        pytest.param(connect(""), {"database": 1}, id="temporary database"),
        pytest.param(lambda: write("no/such/folder"), {"open": 1}, id="an attempt that fails"),
    ],
)
def test_what_is_written_is_counted_once(
    storage: ZeroStorage, registry: CollectorRegistry, act: Callable[[], object], counted: dict[str, float]
) -> None:
    tempfile.gettempdir()
    with storage.forbidden(), contextlib.suppress(FileNotFoundError):
        act()
    assert counts(registry) == counted


def log_to_a_file() -> None:
    handler = logging.FileHandler("app.log")
    handler.emit(logging.makeLogRecord({"msg": "analysed"}))
    handler.close()


def import_a_new_module() -> None:
    sys.path.insert(0, ".")
    try:
        __import__("freshly_made")
    finally:
        sys.path.remove(".")


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda: Path(__file__).read_bytes(), id="reading"),
        pytest.param(lambda: Path("allowed/..").mkdir(exist_ok=True), id="a folder that is there"),
        pytest.param(lambda: write(os.devnull), id="devices"),
        pytest.param(lambda: subprocess.run(["true"], stdin=-3, stdout=-1, timeout=9), id="pipes"),
        pytest.param(lambda: write("allowed/note"), id="allowed folder"),
        pytest.param(connect("allowed.db"), id="allowed database"),
        pytest.param(connect(":memory:"), id="database in memory"),
        pytest.param(connect("file:m?mode=memory", uri=True), id="database in memory by URI"),
        pytest.param(log_to_a_file, id="log files"),
        pytest.param(import_a_new_module, id="compiled modules"),
        pytest.param(tempfile.gettempdir, id="the search for a temporary folder"),
    ],
)
def test_what_keeps_nothing_is_not_counted(
    storage: ZeroStorage,
    registry: CollectorRegistry,
    act: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    Path("allowed").mkdir()
    Path("freshly_made.py").write_text("MADE = True\n")
    with storage.forbidden():
        act()
    assert counts(registry) == {}
    if act is import_a_new_module:
        assert list(Path("__pycache__").iterdir())


def test_the_critical_line_says_what_and_who(storage: ZeroStorage, caplog: pytest.LogCaptureFixture) -> None:
    with storage.forbidden():
        write("line\nbreak.csv")
    [record] = caplog.records
    assert (record.levelname, record.name) == ("CRITICAL", LOGGER)
    assert record.getMessage().startswith("zero-storage violation: open 'line\\nbreak.csv' by ")
    assert f"{__file__}:{write.__code__.co_firstlineno + 1}" in record.getMessage()
    assert "Cash" not in caplog.text


def test_one_request_logs_a_bounded_number_of_lines_and_counts_all(
    storage: ZeroStorage, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with storage.forbidden():
        for _ in range(50):
            write("x" * 200)
    assert counts(registry) == {"open": 50}
    assert len(caplog.records) == MOST_LOGGED
    assert max(len(record.getMessage()) for record in caplog.records) < 600


class WritesAFile(logging.Handler):
    """As log shippers do."""

    def emit(self, record: logging.LogRecord) -> None:
        write("shipped")


def test_a_log_handler_that_writes_is_no_endless_recursion(
    storage: ZeroStorage, registry: CollectorRegistry
) -> None:
    handler = WritesAFile()
    logging.getLogger(LOGGER).addHandler(handler)
    try:
        with storage.forbidden():
            write()
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)
    assert counts(registry) == {"open": 1}


def test_events_that_nobody_expected_fail_no_call(
    storage: ZeroStorage, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with storage.forbidden():
        sys.audit("open", object(), None, os.O_WRONLY)
        sys.audit("open")
    assert counts(registry) == {}
    assert caplog.text.count("the watch over zero storage failed on open") == 2


def test_before_and_after_nothing_is_watched(storage: ZeroStorage, registry: CollectorRegistry) -> None:
    write()
    with storage.forbidden():
        pass
    write()
    assert counts(registry) == {}


def test_two_watches_in_one_process_count_apart(registry: CollectorRegistry) -> None:
    first, second = ZeroStorage(registry=registry), ZeroStorage(registry=(other := CollectorRegistry()))
    with first.forbidden():
        write()
        with second.forbidden():
            spool()
    assert (counts(registry), counts(other)) == ({"open": 1}, {"tempfile": 1})


async def test_tasks_and_threads_inherit_the_watch_and_executors_are_handed_it(
    storage: ZeroStorage, registry: CollectorRegistry
) -> None:
    async def in_a_task() -> None:
        write()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor() as pool, storage.forbidden():
        await asyncio.create_task(in_a_task())
        await asyncio.to_thread(write)
        await run_in_threadpool(write)
        assert counts(registry) == {"open": 3}
        await loop.run_in_executor(pool, carried(write), "x")
        pool.submit(carried(write)).result()
        thread = threading.Thread(target=carried(write))
        thread.start()
        thread.join()
        assert counts(registry) == {"open": 6}
        await loop.run_in_executor(pool, write)
    assert counts(registry) == {"open": 6}


async def upload(request: Request) -> Response:
    async with request.form() as form:
        return PlainTextResponse(str(len(form)))


async def writes_when_told(request: Request) -> Response:
    request.app.state.arrived.set()
    await request.app.state.go.wait()
    await run_in_threadpool(write)
    return PlainTextResponse("written")


async def waits(request: Request) -> Response:
    request.app.state.waiting.set()
    await request.app.state.over.wait()
    return PlainTextResponse("over")


async def fails(_request: Request) -> Response:
    raise ZeroDivisionError


async def writes_afterwards(_request: Request) -> Response:
    return PlainTextResponse("soon", background=BackgroundTask(write))


async def dumps(_request: Request, _error: Exception) -> Response:
    write("crash.dump")
    return PlainTextResponse("sorry", status_code=500)


@pytest.fixture
def app(registry: CollectorRegistry) -> Starlette:
    routes = [
        Route("/audit/upload", upload, methods=["POST"]),
        Route("/audit/waits", waits),
        Route("/audit/fails", fails),
        Route("/audit/afterwards", writes_afterwards),
        Route("/auditors", writes_when_told),
        Route("/clients", writes_when_told),
        Route("/export", writes_when_told),
    ]
    app = Starlette(routes=routes, exception_handlers={Exception: dumps})
    for name in ("arrived", "go", "waiting", "over"):
        setattr(app.state, name, asyncio.Event())
    forbid_storage(app, ["/audit/", "/export"], registry=registry)
    return app


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(("size", "counted"), [(1_000_000, {}), (1_100_000, {"tempfile": 1})])
async def test_an_upload_that_starlette_spools_is_seen(
    http: httpx.AsyncClient, registry: CollectorRegistry, size: int, counted: dict[str, float]
) -> None:
    answer = await http.post("/audit/upload", files={"file": b"x" * size})
    assert answer.status_code == 200
    assert counts(registry) == counted


@pytest.mark.parametrize("path", ["/audit/fails", "/audit/afterwards"])
async def test_error_handling_and_what_comes_after_the_answer_belong_to_it(
    http: httpx.AsyncClient, registry: CollectorRegistry, path: str
) -> None:
    await http.get(path)
    assert counts(registry) == {"open": 1}


@pytest.mark.parametrize(("path", "counted"), [("/clients", {}), ("/auditors", {}), ("/export", {"open": 1})])
async def test_a_request_answers_for_itself_alone(
    app: Starlette, http: httpx.AsyncClient, registry: CollectorRegistry, path: str, counted: dict[str, float]
) -> None:
    """One that is watched waits while the other writes."""
    watched = asyncio.create_task(http.get("/audit/waits"))
    await app.state.waiting.wait()
    app.state.go.set()
    assert (await http.get(path)).text == "written"
    app.state.over.set()
    assert (await watched).text == "over"
    assert counts(registry) == counted


async def test_a_proxy_prefix_is_not_part_of_the_path(app: Starlette, registry: CollectorRegistry) -> None:
    transport = httpx.ASGITransport(app, root_path="/v1")
    app.state.go.set()
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/v1/export")).text == "written"
    assert counts(registry) == {"open": 1}


@contextlib.asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    running = asyncio.create_task(server.serve([listener]))
    try:
        await eventually(lambda: server.started)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        listener.close()


async def test_a_pipelined_request_is_not_blamed_for_being_sent_behind_an_upload(
    app: Starlette, registry: CollectorRegistry
) -> None:
    app.state.over.set()
    app.state.go.set()
    ask = "GET {} HTTP/1.1\r\nHost: x\r\nConnection: {}\r\n\r\n"
    async with served(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((ask.format("/audit/waits", "keep-alive") + ask.format("/clients", "close")).encode())
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
    assert said.count(b"200 OK") == 2
    assert counts(registry) == {}


async def test_it_must_come_before_the_first_request(app: Starlette, http: httpx.AsyncClient) -> None:
    await http.get("/nowhere")
    with pytest.raises(RuntimeError, match="call it before the app serves its first request"):
        forbid_storage(app, ["/"], registry=CollectorRegistry())


FRESH = """
import sys
added = []
sys.addaudithook(lambda event, _: added.append(event) if event == "sys.addaudithook" else None)
from exporters.zero_storage import ZeroStorage
from prometheus_client import CollectorRegistry
assert not added
for _ in range(3):
    ZeroStorage(registry=CollectorRegistry())
print(added)
"""


def test_one_hook_per_process_and_none_before_it_is_needed() -> None:
    assert run(FRESH) == "['sys.addaudithook']\n"


SHARED_FILES = """
from prometheus_client import CollectorRegistry, Counter
from exporters.zero_storage import ZeroStorage
storage = ZeroStorage()
with storage.forbidden():
    __import__("prometheus_client").Gauge("g", "", multiprocess_mode="livemax").set(1)
    assert len(list(__import__("pathlib").Path(FOLDER).iterdir())) == 2
    open("leak", "w").close()
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry, FOLDER)
print(sum(s.value for f in registry.collect() for s in f.samples if "zero_storage" in s.name))
"""


def test_the_metrics_of_several_processes_are_counted_and_are_no_violation(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    code = f"FOLDER = {str(folder)!r}{SHARED_FILES}"
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(folder)).splitlines()[-1] == "1.0"


def run(code: str, **env: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout
