"""The shipped API as a process in production mode on PostgreSQL, and the gate as a pipeline runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest

from tests.conftest import StartProcess
from tests.servers import Process, free_port

SECRET = "f3a9c1d7e5b24680a1b2c3d4e5f60718293a4b5c6d7e8f90"
DB_PASSWORD = "w4Rn8sQzT2mKx9LpV7cJbD3fHgY6uEaX"
"""The servers of the tests trust whoever connects; production settings want a strong one all the same."""


class Api(NamedTuple):
    url: str
    process: Process
    database: str

    def rows(self) -> dict[str, int]:
        return rows(self.database)


def rows(database: str) -> dict[str, int]:
    """Of each table, but for the one that says which migrations ran."""
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        tables = sorted(name for (name,) in cursor.fetchall() if name != "alembic_version")
        found = {}
        for table in tables:
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            ((found[table],),) = cursor.fetchall()
        return found


class Ran(NamedTuple):
    status: int
    output: str
    report: dict[str, Any]

    @property
    def failed(self) -> set[str]:
        return self.standing("fail")

    def standing(self, verdict: str | None) -> set[str]:
        return {each["check"] for each in self.report["results"] if each["verdict"] == verdict}


def production(database: str, **others: str) -> dict[str, str]:
    return {
        "ENV_MODE": "production",
        "DATABASE_URL": database.replace("postgres@", f"postgres:{DB_PASSWORD}@"),
        "JWT_SECRET_KEY": SECRET,
        "JWT_SECRET_ROTATED_AT": f"{datetime.now(UTC):%Y-%m-%d}",
        "CORS_ORIGINS": "https://paciolus.com",
        "DRAIN_SECONDS": "0",
        "DB_POOL_SIZE": "5",
        "DB_MAX_OVERFLOW": "5",
        **others,
    }


StartApi = Callable[..., Api]


@pytest.fixture
def api(process: StartProcess, postgres_database: Callable[[], str]) -> StartApi:
    """Starts an app factory, by default the shipped one, with production settings and `env` over them."""

    def start(target: str = "tests.gate.defects:healthy", env: Mapping[str, str] | None = None) -> Api:
        database, port = postgres_database(), free_port()
        server = process(
            sys.executable,
            *("-m", "uvicorn", "--factory", target, "--port", str(port), "--no-access-log"),
            *("--no-server-header", "--log-level", "error"),
            env=production(database, **(env or {})),
        )
        url = f"http://127.0.0.1:{port}"
        server.wait_for(f"{url}/health", 40)
        return Api(url, server, database)

    return start


RunGate = Callable[..., Ran]


@pytest.fixture
def run_gate(process: StartProcess, tmp_path: Path) -> RunGate:
    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        ran = process(
            sys.executable,
            *("-m", "monitor", "gate", *arguments, "--json", str(report)),
            env={"GATE_JWT_SECRET": SECRET, **(env or {})},
            cwd=Path(__file__).parents[2],
        )
        status = ran.wait(150)
        return Ran(status, ran.output, json.loads(report.read_text()) if report.exists() else {})

    return run
