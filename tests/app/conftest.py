"""The API in this process, or in one of its own, on a fresh SQLite."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app import security
from app.main import create_app
from app.settings import Settings
from tests.app import quick_hashing
from tests.conftest import StartProcess
from tests.servers import Process, free_port, wait_until

StartServer = Callable[..., tuple[Process, httpx.Client]]

PASSWORD = "correct horse 1"
BALANCED = b"Account,Debit,Credit\n1000 Cash,100.00,\n4000 Sales,,100.00\n"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in (*Settings.model_fields, "web_concurrency", "prometheus_multiproc_dir"):
        monkeypatch.delenv(field.upper(), raising=False)


@pytest.fixture(autouse=True)
def _quick_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the tests' own process; servers of their own have the real price unless told otherwise."""
    monkeypatch.setattr(security, "_hasher", quick_hashing.HASHER)
    monkeypatch.setattr(security, "_NOBODYS_HASH", quick_hashing.NOBODYS)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'paciolus.db'}"


@pytest.fixture
def app(sqlite_url: str) -> Iterator[FastAPI]:
    app = create_app(Settings.load(database_url=sqlite_url, db_pool_timeout=0.5), CollectorRegistry())
    yield app
    app.state.engine.dispose()


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """`app` under uvicorn in a thread of the tests' process, so that a test can reach into its state."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=free_port(), log_config=None, timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        base = f"http://127.0.0.1:{server.config.port}"
        with httpx.Client(base_url=base, timeout=20, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with served(app) as client:
        yield client


@pytest.fixture
def user(client: httpx.Client) -> httpx.Client:
    """The same client, logged in."""
    client.headers["Authorization"] = f"Bearer {log_in(client)}"
    return client


@pytest.fixture
def serve(process: StartProcess, sqlite_url: str) -> StartServer:
    """uvicorn in a process of its own with `target` (an app factory) and `env`, and a client for it."""

    def start(target: str, env: Mapping[str, str] | None = None) -> tuple[Process, httpx.Client]:
        port = free_port()
        server = process(
            sys.executable,
            *("-m", "uvicorn", "--factory", target, "--port", str(port), "--no-access-log"),
            env={"DATABASE_URL": sqlite_url, **(env or {})},
        )
        server.wait_for(f"http://127.0.0.1:{port}/health")
        return server, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    return start


def register(client: httpx.Client, email: str = "ada@example.com") -> httpx.Response:
    return client.post("/auth/register", json={"email": email, "password": PASSWORD})


def log_in(client: httpx.Client, email: str = "ada@example.com") -> str:
    """Registers `email` when it is new and returns a token."""
    assert register(client, email).status_code in (201, 409)
    answer = client.post("/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def upload(client: httpx.Client, content: bytes = BALANCED, **form: str) -> httpx.Response:
    files = {"file": ("trial-balance.csv", content, "text/csv")}
    return client.post("/audit/trial-balance", files=files, data=form)


def samples(page: str) -> dict[str, float]:
    """{`name{labels}`: value} of a /metrics page."""
    lines = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}
