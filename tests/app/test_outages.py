"""A database that is stopped, frozen or used up: what the API says meanwhile, and that it heals by itself."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from tests.app.conftest import PASSWORD, StartServer, log_in, samples, upload
from tests.app.health_prober import health_prober
from tests.servers import Postgres, Process, run_postgres, wait_until

pytestmark = pytest.mark.alone
DEADLINE = 2.0
"""Seconds, set for these tests; the default is longer."""
SLACK = 2.0
"""Seconds that a busy machine may be late."""
HEALTH_P95 = 0.020
RATE, REQUESTS = 120.0, 240
"""A second. One instance is documented to take 100 (§11.1 of the operations document)."""
IMPATIENT = {
    "REQUEST_DEADLINE": str(DEADLINE),
    "DB_STATEMENT_TIMEOUT": "1",
    "DB_POOL_TIMEOUT": "1",
    "DB_POOL_SIZE": "3",
    "DB_MAX_OVERFLOW": "2",
    # Simultaneous logins of one account would lock it.
    "LOGIN_ADDRESS_ATTEMPTS": "100000",
    "LOGIN_LOCK_FAILURES": "1000",
}


class Server:
    """A PostgreSQL that can be stopped, started, frozen and thawed."""

    def __init__(self, postgres: Postgres, log: Path) -> None:
        self.postgres = postgres
        with contextlib.closing(psycopg2.connect(postgres.url())) as connection:
            self._postmaster = psutil.Process(connection.info.backend_pid).parent()
        assert self._postmaster
        self._argv, self._cwd = self._postmaster.cmdline(), Path(self._postmaster.cwd()).parent
        self._user = self._postmaster.username()
        self._log = log
        self._again: Process | None = None

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        assert self._postmaster
        self._postmaster.send_signal(number)  # first: it would start more
        for child in self._postmaster.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    def stop(self) -> None:
        assert self._postmaster
        self._postmaster.send_signal(signal.SIGQUIT)
        wait_until(lambda: not self.postgres.accepts(), 10, "stopped")
        with contextlib.suppress(psutil.TimeoutExpired):
            self._postmaster.wait(5)  # or its number lives on as a zombie, and the next one refuses to start

    def start(self) -> None:
        if self._again:
            self._again.wait()
        user = self._user if self._user != psutil.Process().username() else None
        self._again = again = Process(*self._argv, log=self._log, cwd=self._cwd, user=user)
        wait_until(lambda: not again.running or self.postgres.accepts(), 10, "started")
        assert again.running, again.output
        self._postmaster = psutil.Process(again.pid)

    def end(self) -> None:
        if self._again:
            self._again.stop(signal.SIGQUIT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_postgres() as postgres:
        server = Server(postgres, tmp_path_factory.mktemp("postgres") / "log")
        try:
            yield server
        finally:
            server.end()


@pytest.fixture
def api(server: Server, serve: StartServer) -> Iterator[httpx.Client]:
    _, client = serve(
        "tests.app.hoarding:app",
        {"DATABASE_URL": server.postgres.url(), "LOG_LEVEL": "CRITICAL", **IMPATIENT},
    )
    with client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        assert upload(client).status_code == 200
        yield client


@pytest.mark.parametrize(
    ("outage", "reason"),
    [
        ("stopped", "database: Connection refused"),
        ("frozen", "database: no answer within 1 s"),
        ("used up", "database: no free connection within 1 s"),
    ],
)
def test_an_outage(outage: str, reason: str, server: Server, api: httpx.Client) -> None:
    begin, end = faults(outage, server, api)
    begin()
    try:
        with health_prober(api.base_url.host, api.base_url.port or 80) as health_p95:
            ready, ready_took = timed(lambda: api.get("/health/ready"))
            answers = load(api)
            p95 = health_p95()
            print(f"{outage}: /health p95 {1000 * p95:.1f} ms")
            assert p95 < HEALTH_P95
    finally:
        end()
    assert (ready.status_code, ready.json()["reason"]) == (503, reason)
    assert ready_took < 1 + SLACK
    assert Counter(answer.status_code for answer, _ in answers) == {503: len(answers)}
    assert all(answer.headers["Retry-After"] for answer, _ in answers)
    assert max(took for _, took in answers) < DEADLINE + SLACK
    assert count_503(api) == len(answers) + 1, "each of them, and the one that asked for readiness"
    heals(api)


def load(api: httpx.Client) -> list[tuple[httpx.Response, float]]:
    """REQUESTS, begun at RATE a second as far as 60 clients can."""
    began = time.monotonic()

    def at_its_time(number: int) -> tuple[httpx.Response, float]:
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        return ask(api, number)

    with ThreadPoolExecutor(60) as pool:
        return list(pool.map(at_its_time, range(REQUESTS)))


def faults(
    outage: str, server: Server, api: httpx.Client
) -> tuple[Callable[[], object], Callable[[], object]]:
    return {
        "stopped": (server.stop, server.start),
        "frozen": (server.freeze, server.thaw),
        "used up": (lambda: api.post("/hoard"), lambda: api.post("/release")),
    }[outage]


def timed(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return ask(), time.monotonic() - started


def ask(api: httpx.Client, number: int) -> tuple[httpx.Response, float]:
    """One of the requests that need the database."""
    kinds: tuple[Callable[[], httpx.Response], ...] = (
        lambda: api.get("/clients"),
        lambda: api.get("/auth/me"),
        lambda: api.post("/clients", json={"name": "Engines"}),
        lambda: api.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD}),
        lambda: upload(api),
    )
    return timed(kinds[number % len(kinds)])


def count_503(api: httpx.Client) -> float:
    page = samples(api.get("/metrics").text)
    return sum(
        value
        for series, value in page.items()
        if series.startswith("http_request_duration_seconds_count") and 'status="503"' in series
    )


def heals(api: httpx.Client) -> None:
    """Pool and threads are free again; nothing was restarted."""
    wait_until(lambda: api.get("/health/ready").status_code == 200, 10, "ready")
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda n: ask(api, n)[0], range(60)))
    assert [answer.text for answer in answers if not answer.is_success] == []
    wait_until(lambda: samples(api.get("/metrics").text)["db_pool_checked_out"] == 0, 5, "pool empty")


def test_in_the_middle_of_traffic(server: Server, api: httpx.Client) -> None:
    """Statements are torn, commits are left open, connections die in every state: 503s, nothing else."""
    over = threading.Event()

    def keep_asking(kind: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        while not over.is_set():
            answer, took = ask(api, kind)
            assert took < DEADLINE + SLACK
            seen[answer.status_code] += 1
        return seen

    with ThreadPoolExecutor(10) as pool:
        asking = [pool.submit(keep_asking, kind) for kind in range(10)]
        try:
            time.sleep(0.5)
            server.stop()
            server.start()
            time.sleep(0.5)
            server.freeze()
            time.sleep(DEADLINE)
            server.thaw()
            time.sleep(0.5)
        finally:
            over.set()
        seen = sum((each.result() for each in asking), Counter[int]())
    assert seen.keys() == {200, 201, 503}
    assert count_503(api) == seen[503]
    heals(api)
