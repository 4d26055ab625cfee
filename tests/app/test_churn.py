"""Workers are killed, stopped and recycled under load, and no count gets lost or goes back.

What holds between what the client saw and what the server counted, whichever workers died when:

    an answer that the client has read in full is counted, under its status, once
    a request that ended in an error is counted once or not at all, under whatever status
    a request whose connection was refused is not counted

so for every operation   answered <= counted <= answered + broken.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from tests.app.conftest import BALANCED, PASSWORD, log_in, samples
from tests.conftest import StartProcess
from tests.conftest import StartServer as StartConfigured
from tests.servers import Process, free_port, wait_until

# CHURN_SECONDS=120 pytest tests/app/test_churn.py
SECONDS = float(os.environ.get("CHURN_SECONDS", "12"))
WORKERS, CLIENTS = 4, 6
RECYCLED_AFTER = 60
"""Requests, and up to as many again: not all workers at once."""
KILL_EVERY = 1.5
COUNT = re.compile(r'http_request_duration_seconds_count\{method="(\w+)",route="(.*)",status="(\d+)"\}')
COUNTERS = '{job="api",__name__=~".+_(total|count|sum|bucket)"}'
PROMETHEUS = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: api
    static_configs: [targets: ["127.0.0.1:{port}"]]
"""


Answer = tuple[str, str, str]
"""Method, route, status."""


class Operation(NamedTuple):
    method: str
    route: str
    send: Callable[[httpx.Client], httpx.Response]


AUDIT = "/audit/trial-balance"
FILES = {"file": ("trial-balance.csv", BALANCED, "text/csv")}
NOBODY = {"email": "nobody@example.com", "password": PASSWORD}
LOAD = (
    Operation("GET", "/health", lambda client: client.get("/health")),
    Operation("GET", "/clients", lambda client: client.get("/clients?limit=5")),
    Operation("POST", "/clients", lambda client: client.post("/clients", json={"name": "Acme"})),
    Operation("GET", "/clients/{client_id}", lambda client: client.get("/clients/1")),
    Operation("POST", AUDIT, lambda client: client.post(AUDIT, files=FILES)),
    Operation("POST", "/auth/login", lambda client: client.post("/auth/login", json=NOBODY)),
    Operation("GET", "unmatched", lambda client: client.get("/nothing-here")),
)


ROUTES = {(each.method, each.route) for each in LOAD}
KEPT = {"counter_retired.db", "histogram_retired.db", "lock"}


class Tally:
    """What one client saw: answers, and requests that ended in an error."""

    def __init__(self) -> None:
        self.answered: Counter[Answer] = Counter()
        self.broken: Counter[tuple[str, str]] = Counter()

    def count(self, client: httpx.Client, operation: Operation) -> None:
        method, route, send = operation
        try:
            self.answered[method, route, str(send(client).status_code)] += 1
        except httpx.ConnectError:
            pass
        except httpx.TransportError:
            self.broken[method, route] += 1


def counted(page: str) -> Counter[Answer]:
    found = ((COUNT.fullmatch(series), value) for series, value in samples(page).items())
    counts = {(each[1], each[2], each[3]): int(value) for each, value in found if each and value}
    return Counter({answer: n for answer, n in counts.items() if answer[:2] in ROUTES})


@contextmanager
def mixed_load(client: httpx.Client, tally: list[Tally]) -> Iterator[None]:
    """From CLIENTS threads, until the block ends; what each saw is in `tally` then."""
    stop = threading.Event()

    def keep_asking(number: int) -> None:
        choice = Random(number)
        while not stop.is_set():
            tally[number].count(client, choice.choice(LOAD))

    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(keep_asking, number) for number in range(CLIENTS)]
        try:
            yield
        finally:
            stop.set()
    for each in running:
        each.result()


def kill_workers(server: Process, seconds: float, seen: Callable[[], bool]) -> Counter[str]:
    """One at a time, starting ones too, by SIGKILL and by SIGTERM; the next when another has started.

    For so long, and until both signals were sent and Prometheus has `seen` enough of it.
    """
    killed: Counter[str] = Counter()
    choice, until = Random(1), time.monotonic() + seconds
    while time.monotonic() < until or len(killed) < 2 or not seen():
        before, how = started(server), choice.choice([signal.SIGKILL, signal.SIGTERM])
        os.kill(choice.choice(workers(server)), how)
        killed[how.name] += 1
        time.sleep(KILL_EVERY)
        wait_until(lambda: started(server) > before, 30, "another worker serves")  # noqa: B023
    return killed


def started(server: Process) -> int:
    return server.output.count("Application startup complete")


def workers(server: Process) -> list[int]:
    children = psutil.Process(server.pid).children()
    return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def gunicorn(
    process: StartProcess, postgres_url: str, tmp_path: Path
) -> Iterator[tuple[Process, httpx.Client, Path]]:
    """And a client that keeps its connections, and the folder of the workers' metrics."""
    port, folder = free_port(), tmp_path / "metrics"
    server = process(
        *(sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.main:app"),
        *("--max-requests", str(RECYCLED_AFTER), "--max-requests-jitter", str(RECYCLED_AFTER)),
        env={
            "DATABASE_URL": postgres_url,
            "DB_POOL_SIZE": "5",
            "API_PORT": str(port),
            "PROMETHEUS_MULTIPROC_DIR": str(folder),
        },
    )
    wait_until(lambda: started(server) >= WORKERS or not server.running, 60, "all workers serve")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        yield server, client, folder


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_no_count_is_lost_or_goes_back_whichever_workers_die(
    gunicorn: tuple[Process, httpx.Client, Path], prometheus: StartConfigured
) -> None:
    server, client, folder = gunicorn
    client.headers["Authorization"] = f"Bearer {log_in(client)}"
    assert client.post("/clients", json={"name": "Acme"}).status_code == 201
    at_first = counted(client.get("/metrics").text)
    watcher = Watcher(prometheus(PROMETHEUS.format(port=client.base_url.port)))

    tallies = [Tally() for _ in range(CLIENTS)]
    with mixed_load(client, tallies):
        killed = kill_workers(server, SECONDS, lambda: watcher.scrapes() > SECONDS / 10)
    wait_until(lambda: len(workers(server)) == WORKERS, 30, "all workers are replaced")
    at_last = counted(client.get("/metrics").text)

    answered = sum((tally.answered for tally in tallies), Counter[Answer]())
    broken = sum((tally.broken for tally in tallies), Counter[tuple[str, str]]())
    recycled = server.output.count("Maximum request limit")
    print(f"{answered.total()} answered, {broken.total()} broken, {dict(killed)}, {recycled} recycled")
    assert answered.total() > 10 * SECONDS
    assert min(killed["SIGKILL"], killed["SIGTERM"], recycled) >= 1
    assert_accounted(at_last - at_first, answered, broken)

    wait_until(lambda: watcher.counts() == at_last, 10, "Prometheus sees the same")
    assert watcher.went_back(within=SECONDS + 60) == []
    assert_nothing_left_behind(server, folder)


def assert_accounted(
    counts: Counter[Answer], answered: Counter[Answer], broken: Counter[tuple[str, str]]
) -> None:
    assert answered - counts == Counter(), "answered, but not counted"
    unseen: Counter[tuple[str, str]] = Counter()
    for (method, route, _), requests in (counts - answered).items():
        unseen[method, route] += requests
    assert unseen - broken == Counter(), "counted, but never sent"


class Watcher:
    """What Prometheus knows of the API."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1/query"

    def counts(self) -> Counter[Answer]:
        found = self._ask("http_request_duration_seconds_count > 0")
        counts = {
            (each["metric"]["method"], each["metric"]["route"], each["metric"]["status"]): int(
                each["value"][1]
            )
            for each in found
        }
        return Counter({answer: n for answer, n in counts.items() if answer[:2] in ROUTES})

    def scrapes(self) -> int:
        return int(self._ask("sum_over_time(up[1h])")[0]["value"][1])

    def went_back(self, within: float) -> list[Any]:
        names = {each["metric"]["__name__"] for each in self._ask(COUNTERS)}
        assert {"http_request_duration_seconds_bucket", "auth_login_failures_total"} <= names
        return [back for name in names for back in self._ask(f"resets({name}[{within:.0f}s]) > 0")]

    def _ask(self, query: str) -> list[Any]:
        answer = httpx.get(self._url, params={"query": query}, trust_env=False).raise_for_status()
        found: list[Any] = answer.json()["data"]["result"]
        return found


def assert_nothing_left_behind(server: Process, folder: Path) -> None:
    """A dead worker's files are folded into one of each kind; during a scrape, when the next one dies."""

    def left_behind() -> set[str]:
        alive = {str(pid) for pid in workers(server)}
        return {file.stem.rpartition("_")[2] for file in folder.glob("*.db")} - alive - {"retired"}

    def gone() -> bool:
        if left_behind():
            os.kill(workers(server)[0], signal.SIGTERM)
        return not left_behind()

    wait_until(gone, 20, "the files of dead workers are folded", every=1)
    assert {file.name for file in folder.iterdir() if not file.stem.split("_")[-1].isdecimal()} == KEPT
