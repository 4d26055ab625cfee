"""Several workers, one truth."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

import httpx
import psutil
import pytest

from tests.app.conftest import log_in, register, samples, upload
from tests.conftest import StartProcess
from tests.servers import Process, free_port, wait_until

WORKERS = 4
REQUESTS, FAULTS = 1000, 37
COUNT = re.compile(r'http_request_duration_seconds_count\{method="\w+",route="(.*)",status="(\d+)"\}')


@pytest.fixture
def gunicorn(
    process: StartProcess, sqlite_url: str, tmp_path: Path
) -> Iterator[tuple[Process, httpx.Client]]:
    """And a client that never uses a connection twice, so that every request may meet another worker."""
    port = free_port()
    server = process(
        *(sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "tests.app.raising:create()"),
        env={"DATABASE_URL": sqlite_url, "API_PORT": str(port), "TMPDIR": str(tmp_path)},
    )
    wait_until(lambda: started(server) == WORKERS or not server.running, 60, "all workers serve")
    headers = {"Connection": "close"}
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, headers=headers, timeout=30, trust_env=False) as client:
        yield server, client


def workers(server: Process) -> list[int]:
    return [child.pid for child in psutil.Process(server.pid).children()]


def started(server: Process) -> int:
    return server.output.count("Application startup complete")


def scrape(client: httpx.Client) -> dict[str, float]:
    return samples(client.get("/metrics").text)


def in_progress(client: httpx.Client) -> float:
    """The scrape itself counts or not: a busy worker writes this gauge every 10 ms only."""
    return scrape(client)["http_requests_in_progress"]


def requests_and_faults(page: dict[str, float]) -> tuple[float, float]:
    """Of all routes but those that the test itself watches with."""
    counted = [
        (found[1], found[2], value) for series, value in page.items() if (found := COUNT.fullmatch(series))
    ]
    ours = [(status, n) for route, status, n in counted if route not in ("/metrics", "/health", "/hang")]
    return sum(n for _, n in ours), sum(n for status, n in ours if status == "500")


def failed_logins(page: dict[str, float]) -> float:
    """Of all reasons: a worker that gets more than five of them calls the rest `locked`."""
    return sum(value for series, value in page.items() if series.startswith("auth_login_failures_total"))


@pytest.mark.nightly
def test_counters_are_exact_on_every_scrape_and_outlive_a_killed_worker(
    gunicorn: tuple[Process, httpx.Client],
) -> None:
    server, client = gunicorn
    paths = ["/raise"] * FAULTS + ["/clients", "/auth/me", "/nothing-here"] * ((REQUESTS - FAULTS) // 3)
    assert len(paths) == REQUESTS
    Random(1).shuffle(paths)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.get, paths))
    assert sum(answer.status_code == 500 for answer in answers) == FAULTS
    assert [requests_and_faults(scrape(client)) for _ in range(20)] == [(REQUESTS, FAULTS)] * 20

    with ExitStack() as hanging:
        streams = [hanging.enter_context(client.stream("GET", "/hang")).iter_text() for _ in range(6)]
        pids = [int(next(stream)) for stream in streams]
        wait_until(lambda: in_progress(client) in (6, 7), 10, "all are in progress")

        victim, before = pids[0], started(server)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in workers(server) and started(server) > before, 60, "it is replaced")
        left = len(pids) - pids.count(victim)
        wait_until(
            lambda: in_progress(client) in (left, left + 1), 10, "what the victim did is not in progress"
        )
        pages = [scrape(client) for _ in range(20)]
        assert [requests_and_faults(page) for page in pages] == [(REQUESTS, FAULTS)] * 20
        assert {page["http_requests_in_progress"] for page in pages} <= {left, left + 1}
        assert {page["db_pool_size"] for page in pages} == {WORKERS * 10}
        assert {page["process_tree_memory_bytes"] > 0 for page in pages} == {True}
    wait_until(lambda: in_progress(client) <= 1, 10, "clients that left are not in progress")


def test_the_journey_across_workers(gunicorn: tuple[Process, httpx.Client]) -> None:
    """A token of one worker is good for all, and failed logins add up."""
    _, client = gunicorn
    client.headers["Authorization"] = f"Bearer {log_in(client)}"
    assert [upload(client).status_code for _ in range(12)] == [200] * 12
    wrong = {"email": "ada@example.com", "password": "wrong"}
    assert [client.post("/auth/login", json=wrong).status_code for _ in range(12)] == [401] * 12
    assert register(client).status_code == 409
    assert client.get("/health/ready").status_code == 200
    assert {failed_logins(scrape(client)) for _ in range(8)} == {12}


def test_a_stop_leaves_nothing_behind(gunicorn: tuple[Process, httpx.Client], tmp_path: Path) -> None:
    server, _ = gunicorn
    pids = workers(server)
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait(30) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith("paciolus.db")) == []
    assert "Traceback" not in server.output


def test_a_killed_parent_takes_its_workers_along(gunicorn: tuple[Process, httpx.Client]) -> None:
    server, _ = gunicorn
    orphans = [psutil.Process(pid) for pid in workers(server)]
    assert len(orphans) == WORKERS
    server.popen.kill()
    _, alive = psutil.wait_procs(orphans, timeout=30)
    assert alive == []
