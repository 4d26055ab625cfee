from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg2
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import QueuePool, inspect, text

from app.database import init_db, make_engine
from app.main import create_app
from app.models import Base
from app.settings import Settings
from tests.app.conftest import log_in, register, samples, served, upload

TABLES = sorted([*Base.metadata.tables, "alembic_version"])
READ_BUDGET = 2.0
"""Seconds, below the time that the lock is held: whoever is faster did not wait for it."""


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Either database; `request.param` is the name of the fixture that has its address."""
    address: str = request.getfixturevalue(request.param)
    return address


both = pytest.mark.parametrize("url", ["sqlite_url", "postgres_url"], indirect=True)


@both
def test_both_databases_have_the_documented_pool(url: str) -> None:
    engine = make_engine(Settings.load(database_url=url, db_pool_size=3, db_max_overflow=1))
    assert isinstance(engine.pool, QueuePool)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(engine.connect())
        assert (engine.pool.size(), engine.pool.checkedout()) == (3, 4)
    engine.dispose()


@both
def test_init_db_twice_keeps_what_is_there(url: str) -> None:
    engine = make_engine(Settings.load(database_url=url))
    init_db(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO users VALUES (1, 'a@example.com', 'x', true, '2026-01-01')"))
    init_db(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM users")) == 1
    assert sorted(inspect(engine).get_table_names()) == TABLES
    engine.dispose()


TOGETHER = """
import os, sys
from app.database import init_db, make_engine
from app.settings import Settings
start, go = os.pipe()
workers = []
for _ in range(4):
    if not (worker := os.fork()):
        os.close(go)
        os.read(start, 1)  # until the last one who could write is gone
        init_db(make_engine(Settings.load()))
        os._exit(0)
    workers.append(worker)
os.close(go)
sys.exit(max(os.waitpid(worker, 0)[1] for worker in workers) > 0)
"""


@both
def test_workers_that_start_together_make_the_tables_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    ran = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    engine = make_engine(Settings.load())
    assert sorted(inspect(engine).get_table_names()) == TABLES
    engine.dispose()


def test_sqlite_keeps_a_write_ahead_log_and_foreign_keys(sqlite_url: str) -> None:
    engine = make_engine(Settings.load(database_url=sqlite_url))
    init_db(engine)
    with engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS]
    assert dict(zip(_PRAGMAS, pragmas, strict=True)) == _PRAGMAS
    engine.dispose()


_PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


@both
def test_the_journey_on_both(url: str) -> None:
    app = create_app(Settings.load(database_url=url), CollectorRegistry())
    with served(app) as client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        assert register(client).status_code == 409
        company = client.post("/clients", json={"name": "Engines"}).json()["id"]
        largest = b"account,debit,credit\nCash,999999999999999.9999,\n"
        report = upload(client, largest, client_id=str(company)).json()
        assert report["difference"] == "999999999999999.9999"
        assert client.post("/auth/login", json={"email": "\x00", "password": "x"}).status_code == 422
        with app.state.engine.connect() as connection:
            stored = connection.scalar(text("SELECT total_debits FROM diagnostic_summaries"))
        assert str(stored) == "999999999999999.9999"


@contextlib.contextmanager
def write_lock(database: Path, seconds: float) -> Iterator[None]:
    """Another program writes for so long; the block runs meanwhile."""
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(seconds, other.rollback)
    release.start()
    try:
        yield
    finally:
        release.join()
        other.close()


def test_a_locked_sqlite_delays_writes_and_no_reads(user: httpx.Client, tmp_path: Path) -> None:
    upload(user)
    with ThreadPoolExecutor(3) as pool, write_lock(tmp_path / "paciolus.db", seconds=3.5):
        started = time.monotonic()
        writes = [
            pool.submit(upload, user),
            pool.submit(register, user, "eve@example.com"),
        ]
        reads = [
            user.post("/auth/login", json={"email": "ada@example.com", "password": "wrong"}),
            user.get("/clients"),
            user.get("/auth/me"),
            user.get("/health/ready"),
        ]
        read_for = time.monotonic() - started
        assert not any(write.done() for write in writes)
        answers = [write.result() for write in writes]
    assert [read.status_code for read in reads] == [401, 200, 200, 200]
    assert read_for < READ_BUDGET
    assert [answer.status_code for answer in answers] == [200, 201]
    assert min(answer.elapsed.total_seconds() for answer in answers) > READ_BUDGET


def test_a_lock_that_outlasts_the_patience_is_a_503(user: httpx.Client, tmp_path: Path) -> None:
    with write_lock(tmp_path / "paciolus.db", seconds=6.5):
        answer = upload(user)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["detail"].startswith("The database is not available")
    assert upload(user).status_code == 200


def test_a_renamed_table_is_our_defect_and_heals(
    user: httpx.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upload(user)

    def rename(old: str, new: str) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "paciolus.db", timeout=5)) as other:
            other.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("diagnostic_summaries", "elsewhere")
    answer = upload(user)
    assert (answer.status_code, answer.json()["detail"]) == (500, "Internal server error")
    assert user.get("/clients").status_code == 200
    rename("elsewhere", "diagnostic_summaries")
    assert upload(user).status_code == 200
    page = samples(user.get("/metrics").text)
    counted = [
        page[
            f'http_request_duration_seconds_count{{method="POST",route="/audit/trial-balance",status="{status}"}}'
        ]
        for status in (200, 500)
    ]
    assert counted == [2, 1]
    assert "no such table" in caplog.text


def test_a_missing_postgresql_table_is_our_defect_too(postgres_url: str) -> None:
    app = create_app(Settings.load(database_url=postgres_url), CollectorRegistry())
    with served(app) as client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        with app.state.engine.begin() as connection:
            connection.execute(text("ALTER TABLE diagnostic_summaries RENAME TO elsewhere"))
        assert upload(client).status_code == 500


def test_an_exhausted_pool_is_a_503_in_time(user: httpx.Client, app: FastAPI) -> None:
    with exhausted(app):
        answer = user.get("/clients")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert user.get("/clients").status_code == 200
    assert samples(user.get("/metrics").text)["db_pool_timeouts_total"] == 1


@contextlib.contextmanager
def exhausted(app: FastAPI) -> Iterator[None]:
    settings = app.state.settings
    with contextlib.ExitStack() as stack:
        for _ in range(settings.db_pool_size + settings.db_max_overflow):
            stack.enter_context(app.state.engine.connect())
        yield


def test_requests_for_more_than_all_threads_do_not_wait_for_each_other(tmp_path: Path) -> None:
    settings = Settings.load(database_url=f"sqlite:///{tmp_path / 'db'}", db_pool_size=1, db_max_overflow=0)
    app = create_app(settings, CollectorRegistry())
    with served(app) as client, ThreadPoolExecutor(60) as pool:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        statuses = [answer.status_code for answer in pool.map(lambda _: client.get("/clients"), range(200))]
    assert statuses == [200] * 200


def test_dead_connections_are_replaced_before_use(postgres_url: str) -> None:
    app = create_app(Settings.load(database_url=postgres_url), CollectorRegistry())
    with served(app) as client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        with contextlib.closing(psycopg2.connect(postgres_url)) as other, other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert client.get("/clients").status_code == 200
