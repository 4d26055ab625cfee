"""The shipped API as a process in production mode on PostgreSQL, and the gate as a pipeline runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

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


def start_api(
    start: StartProcess,
    database: str,
    target: str = "tests.gate.defects:healthy",
    env: Mapping[str, str] | None = None,
) -> Api:
    """An app factory, by default of the shipped one, with production settings and `env` over them."""
    port = free_port()
    server = start(
        sys.executable,
        *("-m", "uvicorn", "--factory", target, "--port", str(port), "--no-access-log"),
        *("--no-server-header", "--log-level", "error"),
        env=production(database, **(env or {})),
    )
    url = f"http://127.0.0.1:{port}"
    server.wait_for(f"{url}/health", 60)
    return Api(url, server, database)


def start_gate(start: StartProcess, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Process:
    return start(
        sys.executable,
        *("-m", "monitor", "gate", *arguments),
        env={"GATE_JWT_SECRET": SECRET, **(env or {})},
        cwd=Path(__file__).parents[2],
    )


def run_gate(
    start: StartProcess, folder: Path, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> Ran:
    """Its JSON report is written into `folder`."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    ran = start_gate(start, *arguments, "--json", report, env=env)
    return ended(ran, report)


def ended(gate: Process, report: Path) -> Ran:
    """Within the longest that a profile takes, cleaning up included."""
    status = gate.wait(230)
    return Ran(status, gate.output, json.loads(report.read_text()) if report.exists() else {})
