from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg2
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from app.main import create_app
from app.settings import Settings
from app.version import VERSION
from tests.app.conftest import log_in, register, served
from tests.app.test_database import exhausted
from tests.servers import free_port, wait_until

NO_ANSWER = {"status": "unavailable", "reason": "database: no answer within 1 s"}


def test_healthy_and_ready(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "healthy", "version": VERSION}
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


def test_health_asks_nobody_and_ready_asks_once_for_many(client: httpx.Client, app: FastAPI) -> None:
    statements: list[str] = []
    event.listen(app.state.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for _ in range(20):
        client.get("/health")
    assert statements == []
    with ThreadPoolExecutor(10) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda _: client.get("/health/ready").status_code, range(50)))
        took = time.monotonic() - started
    assert answers == [200] * 50
    assert len(statements) <= 1 + took, "a check is good for a second"


def test_an_exhausted_pool_blocks_neither(client: httpx.Client, app: FastAPI) -> None:
    with exhausted(app), ThreadPoolExecutor(60) as pool:
        # More requests than the app has threads, all of them waiting for a connection.
        queued = [pool.submit(register, client, f"user{n}@example.com") for n in range(60)]
        health = min(client.get("/health").elapsed.total_seconds() for _ in range(5))
        asked = time.monotonic()
        ready = client.get("/health/ready")
        took = time.monotonic() - asked
        for request in queued:
            request.result()
    assert health < 0.2
    assert ready.status_code == 503
    assert ready.json()["reason"] in ("database: no free connection within 1 s", NO_ANSWER["reason"])
    assert took < 5, "the deadline is 1 s"
    wait_until(lambda: client.get("/health/ready").status_code == 200, 10, "heals by itself")


def test_frozen_connections_block_nobody_and_are_replaced(postgres_url: str) -> None:
    app = create_app(Settings.load(database_url=postgres_url, request_deadline=5), CollectorRegistry())
    with served(app) as client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        app.state.readiness.keep = 0  # ask anew
        frozen = backends(postgres_url)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            ready = client.get("/health/ready")
            answer = client.get("/clients")
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
    assert (ready.status_code, answer.status_code) == (200, 200), "by fresh connections"
    assert ready.elapsed.total_seconds() < 5, "the deadline is 1 s"


def backends(url: str) -> list[int]:
    """The processes that serve this database's connections, but for the one that asks."""
    others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(others)
        return [pid for (pid,) in cursor.fetchall()]


def test_the_api_starts_without_its_database_and_heals(tmp_path: Path) -> None:
    folder = tmp_path / "not-there-yet"
    app = create_app(Settings.load(database_url=f"sqlite:///{folder / 'db'}"), CollectorRegistry())
    with served(app) as client:
        assert client.get("/health").status_code == 200
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "database: OperationalError")
        assert register(client).status_code == 503
        folder.mkdir()
        wait_until(lambda: client.get("/health/ready").status_code == 200, 10, "makes its tables")
        assert register(client).status_code == 201


def test_a_database_that_never_answers_holds_up_neither_start_nor_stop(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        port = free_port()
        url = f"postgresql://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/x"
        server = subprocess.Popen(
            [sys.executable, "-m", "app"],
            env={**os.environ, "DATABASE_URL": url, "API_PORT": str(port)},
            stderr=subprocess.PIPE,
        )
        try:
            wait_until(lambda: is_healthy(port), 20)
            ready = httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False)
            assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        finally:
            server.terminate()
            _, said = server.communicate(timeout=10)
    assert b"hunter2" not in said


def is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health_needs_no_token(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200
