from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette

from exporters.exposition import build_info, mark_worker_dead, metrics_route
from tests.exporters.pages import Page, parse

ROOT = Path(__file__).parents[2]


async def page_of(app: Starlette, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        return await http.get("/metrics", headers=headers)


async def test_one_process_serves_its_registry_in_the_text_format() -> None:
    registry = CollectorRegistry()
    Counter("eggs", "Eggs.", registry=registry).inc(12)
    build_info("1.2.3", registry)
    response = await page_of(Starlette(routes=[metrics_route(registry)]))
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    page = parse(response.text)
    assert page["eggs_total", ()] == 12
    assert page["app_build_info", (("version", "1.2.3"),)] == 1


async def test_a_page_is_zipped_for_who_accepts_it() -> None:
    app = Starlette(routes=[metrics_route(CollectorRegistry())])
    assert (await page_of(app, **{"accept-encoding": "gzip"})).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in (await page_of(app, **{"accept-encoding": "identity"})).headers


async def test_another_path() -> None:
    app = Starlette(routes=[metrics_route(CollectorRegistry(), path="/internal/metrics")])
    assert app.routes[0].path == "/internal/metrics"  # type: ignore[attr-defined]


def test_a_folder_that_comes_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"call prepare_multiprocess_dir\(\) in gunicorn.conf.py"):
        metrics_route(CollectorRegistry())


def test_marking_a_worker_dead_in_one_process_does_nothing() -> None:
    mark_worker_dead(4_000_000)


def run(code: str, **environment: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=ROOT,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return finished.stdout.strip()


PREPARE = """
import os
from exporters.exposition import prepare_multiprocess_dir
folder = prepare_multiprocess_dir()
assert folder == prepare_multiprocess_dir()
assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)
from prometheus_client import Counter
Counter("eggs", "Eggs.").inc()
if os.fork() == 0:
    raise SystemExit
os.wait()
assert list(folder.glob("counter_*.db"))
print(folder, oct(folder.stat().st_mode & 0o777))
"""


def test_a_new_folder_is_private_and_goes_with_its_owner() -> None:
    folder, mode = run(PREPARE).split()
    assert mode == "0o700"
    assert not Path(folder).exists()


def test_a_named_folder_loses_an_earlier_runs_files_and_nothing_else(tmp_path: Path) -> None:
    for name in ("counter_7.db", "gauge_livesum_7.db", "histogram_retired.db", "notes.txt", "customers.db"):
        (tmp_path / name).touch()
    assert run(PREPARE, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)).split()[0] == str(tmp_path)
    kept = {file.name for file in tmp_path.iterdir()}
    assert {"notes.txt", "customers.db"} <= kept
    assert not kept & {"counter_7.db", "gauge_livesum_7.db", "histogram_retired.db"}


GUNICORN_CONF = """
from exporters.exposition import mark_worker_dead, prepare_multiprocess_dir

prepare_multiprocess_dir()
workers = 4
worker_class = "uvicorn_worker.UvicornWorker"
control_socket_disable = True

def child_exit(server, worker):
    mark_worker_dead(worker.pid)
"""

APP = """
import os
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from exporters.asgi import instrument
from exporters.exposition import build_info, metrics_route
from exporters.process import watch_process

async def pid(request):
    return PlainTextResponse(str(os.getpid()))

async def boom(request):
    raise ZeroDivisionError

app = Starlette(routes=[Route("/pid", pid), Route("/boom", boom), metrics_route()])
instrument(app)
watch_process()
build_info("1.0")
"""


@contextmanager
def gunicorn(folder: Path) -> Iterator[httpx.Client]:
    (folder / "gunicorn_settings.py").write_text(GUNICORN_CONF)
    (folder / "watched_app.py").write_text(APP)
    (folder / "metrics").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{ROOT}",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
    }
    argv = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:gunicorn_settings",
        "-b",
        address,
        "watched_app:app",
    ]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(argv, env=environment, cwd=folder, stdout=log, stderr=log) as server,
        # A connection of its own for each request, so that they spread over the workers.
        httpx.Client(base_url=f"http://{address}", headers={"connection": "close"}, trust_env=False) as http,
    ):
        try:
            until(lambda: (folder / "log").read_text().count("Application startup complete") >= 4)
            yield http
        finally:
            server.terminate()
            server.wait(20)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(page: Page, route: str, status: str) -> float:
    return page[
        "http_request_duration_seconds_count", (("method", "GET"), ("route", route), ("status", status))
    ]


def test_four_gunicorn_workers_tell_one_exact_truth_also_when_some_die(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as http:
        pids = {int(http.get("/pid").text) for _ in range(60)}
        assert len(pids) > 1
        for _ in range(7):
            assert http.get("/boom").status_code == 500

        def assert_exact() -> Page:
            pages = [parse(http.get("/metrics").raise_for_status().text) for _ in range(8)]
            for page in pages:
                assert counted(page, "/pid", "200") == 60
                assert counted(page, "/boom", "500") == 7
                assert page["app_build_info", (("version", "1.0"),)] == 1
                assert page["http_requests_in_progress", ()] <= 1
                assert not [name for name, _ in page if name.startswith(("python_", "process_cpu"))]
            return pages[-1]

        page = assert_exact()
        assert page["process_tree_memory_bytes", ()] > 50 * 2**20
        cpu = page["process_tree_cpu_seconds_total", ()]
        killed = sorted(pids)[:2]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(lambda: all(not list((tmp_path / "metrics").glob(f"*_{pid}.db")) for pid in killed))
        page = assert_exact()
        assert page["process_tree_cpu_seconds_total", ()] >= cpu


def test_torn_files_of_a_dead_worker_do_not_hurt(tmp_path: Path) -> None:
    (tmp_path / "counter_7.db").touch()
    (tmp_path / "histogram_7.db").write_bytes(b"\xff\x00\x00\x00" * 2 + b"\xff\xff\xff\x0f" * 8)
    code = "from exporters.exposition import mark_worker_dead; mark_worker_dead(7)"
    run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert not list(tmp_path.glob("*_7.db"))


def test_sums_do_not_change_when_workers_are_folded_one_by_one(tmp_path: Path) -> None:
    """Floats added in another order often do, by one step of the last digit."""
    code = """
import os
from random import Random
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from exporters.exposition import mark_worker_dead
from exporters.histogram import histogram
random, workers = Random(1), []
for _ in range(4):
    seconds = [random.expovariate(100) for _ in range(200)]
    workers.append(os.fork())
    if workers[-1] == 0:
        observer_of = histogram("eggs_seconds", "Eggs.", ["kind"], (0.1, 1), CollectorRegistry())
        for number, amount in enumerate(seconds):
            observer_of(str(number % 20))(amount)
        os._exit(0)
    os.wait()
def sums():
    samples = [s for metric in MultiProcessCollector(None).collect() for s in metric.samples]
    return {s.labels["kind"]: s.value for s in samples if s.name == "eggs_seconds_sum"}
seen = [sums()]
for worker in workers:
    mark_worker_dead(worker)
    seen.append(sums())
print(len(seen[0]), all(each == seen[0] for each in seen))
"""
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) == "20 True"


def test_folding_waits_for_nobody_and_is_made_up_for(tmp_path: Path) -> None:
    code = """
import fcntl, os, sys
from pathlib import Path
from exporters.exposition import mark_worker_dead
folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
scrape = (folder / "lock").open("a")
fcntl.flock(scrape, fcntl.LOCK_SH)
from prometheus_client import Counter, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
for amount in (3, 4):
    child = os.fork()
    if child == 0:
        Counter("eggs", "Eggs.", registry=None).inc(amount)
        os._exit(0)
    os.wait()
    mark_worker_dead(child)
    print(sorted(file.name == "counter_retired.db" for file in folder.glob("*.db")), end=" ")
    scrape.close()
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(registry.get_sample_value("eggs_total"))
"""
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) == "[False] [True] 7.0"


def test_a_file_that_a_starting_worker_has_not_filled_yet_is_read_again(tmp_path: Path) -> None:
    code = """
import os
from pathlib import Path
from threading import Timer
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from exporters.exposition import _AllWorkers
registry = CollectorRegistry()
Counter("eggs", "Eggs.", registry=registry).inc(12)
starting = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / "histogram_4000000.db"
starting.touch()
Timer(0.05, lambda: MmapedDict(str(starting)).close()).start()
print(generate_latest(_AllWorkers(registry)).decode())
"""
    assert "eggs_total 12.0" in run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
