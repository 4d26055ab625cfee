"""A whole run at every level, and then a search for everything in it that was personal or secret."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.database import make_engine
from app.settings import Settings
from app.telemetry import Json, Masked, formatter, log_queries
from tests.app.conftest import upload
from tests.conftest import StartProcess
from tests.servers import Process, free_port, wait_until

EMAIL, PASSWORD = "grace.hopper@example.com", "compiler-4711-zanzibar"
JWT_SECRET = "jwt-5ecret-0f-th1s-run-0f-th1s-run-only"
COMPANY = "Quetzalcoatl Holdings"
ACCOUNTS = ("1000 Petty Kash", "4000 Wombat Sales", "9999 Suspense Yonder")
AMOUNTS = ("8675309.42", "1234567.89", "7440.01")
SHEET = "\n".join(
    [
        "Account,Debit,Credit",
        f"{ACCOUNTS[0]},{AMOUNTS[0]},",
        f"{ACCOUNTS[1]},,{AMOUNTS[1]}",
        f"{ACCOUNTS[2]},{AMOUNTS[2]},",
    ]
)
BROKEN = f"Account,Debit,Credit\n{ACCOUNTS[0]},{AMOUNTS[0]}x,\n"


@pytest.fixture(
    params=["uvicorn text", pytest.param("uvicorn json", marks=pytest.mark.nightly), "gunicorn json"]
)
def run(
    request: pytest.FixtureRequest, process: StartProcess, tmp_path: Path
) -> tuple[Process, httpx.Client]:
    server, log_format = request.param.split()
    port = free_port()
    start = {
        "uvicorn": (
            "uvicorn",
            "--factory",
            "tests.app.raising:create",
            f"--port={port}",
            "--log-level=debug",
        ),
        "gunicorn": (
            "gunicorn",
            "-c",
            "python:app.gunicorn_conf",
            "tests.app.raising:create()",
            "--log-level=debug",
        ),
    }
    env = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/paciolus.db",
        "API_PORT": str(port),
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": log_format,
        "JWT_SECRET_KEY": JWT_SECRET,
        "DB_SLOW_QUERY": "0.001",
    }
    running = process(sys.executable, "-m", *start[server], env=env)
    running.wait_for(f"http://127.0.0.1:{port}/health/ready", 60)
    return running, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)


def use_everything(client: httpx.Client) -> list[str]:
    """One way through the features with all the usual mistakes; returns the tokens that it had."""
    credentials = {"email": EMAIL, "password": PASSWORD}
    client.post("/auth/register", json=credentials)
    client.post("/auth/register", json=credentials)
    client.post("/auth/register", json={"email": EMAIL + "@", "password": PASSWORD})
    client.post("/auth/login", json=credentials | {"password": PASSWORD + "-wrong"})
    client.post("/auth/login", content=f'{{"email": "{EMAIL}", "password": "{PASSWORD}"')
    token: str = client.post("/auth/login", json=credentials).json()["access_token"]
    client.get("/auth/me", headers={"Authorization": f"Bearer {token[:-4]}AAAA"})
    client.headers["Authorization"] = f"Bearer {token}"
    client.get("/auth/me")
    client.get("/clients", params={"after": "x", "token": token, "email": EMAIL})
    client.get(f"/nothing/{EMAIL}/{token}")
    created = client.post("/clients", json={"name": COMPANY}).json()
    for sheet in (SHEET, BROKEN, SHEET.replace("Debit", "D\x00bit")):
        upload(client, sheet.encode(), client_id=str(created.get("id", 1)))
    for path in ("/export/pdf", "/export/excel"):
        client.post(path, files={"file": (f"{COMPANY}.csv", SHEET.encode(), "text/csv")})
        client.post(path, json={"summary_id": 1})
    client.get("/activity")
    client.get("/raise")
    client.post("/auth/logout")
    return [token, token.rpartition(".")[2]]


def test_a_whole_run_says_nothing_personal(run: tuple[Process, httpx.Client]) -> None:
    server, client = run
    with client:
        tokens = use_everything(client)
    wait_until(lambda: "RuntimeError: on purpose" in server.output, 10, "the trace is logged")
    said = server.output
    hushed = [
        EMAIL,
        PASSWORD,
        JWT_SECRET,
        COMPANY,
        *ACCOUNTS,
        *AMOUNTS,
        *tokens,
        "$argon2",
        "Petty",
    ]
    hushed += [f"{float(amount):,.2f}" for amount in AMOUNTS]
    assert [line for line in said.splitlines() if any(secret in line for secret in hushed)] == []
    for level, told in (
        ("DEBUG", "query 0.0"),
        ("INFO", "logged in"),
        ("INFO", "analysed a trial balance"),
        ("ERROR", "Exception in ASGI application"),
    ):
        assert any(level in line and told in line for line in said.splitlines()), (level, told)


def test_every_line_is_json_in_production(process: StartProcess) -> None:
    port = free_port()
    password = "0123456789abcdef" * 2
    env = {
        "ENV_MODE": "production",
        "API_PORT": str(port),
        "CORS_ORIGINS": "https://paciolus.com",
        "JWT_SECRET_KEY": JWT_SECRET,
        "DATABASE_URL": f"postgresql://nobody:{password}@127.0.0.1:1/paciolus",
        "DRAIN_SECONDS": "0",
        "WEB_CONCURRENCY": "2",
    }
    server = process(
        *(sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "tests.app.raising:create()"),
        env=env,
    )
    base = f"http://127.0.0.1:{port}"
    server.wait_for(base + "/health", 60)
    with httpx.Client(base_url=base, timeout=20, trust_env=False) as client:
        assert (
            client.get("/raise?email=ada@example.com", headers={"X-Request-ID": "made-by-a-test"}).status_code
            == 500
        )
        assert client.get("/health/ready").status_code == 503
    wait_until(lambda: "on purpose" in server.output, 10, "the trace is logged")
    server.stop()
    lines: list[dict[str, Any]] = [json.loads(line) for line in server.output.splitlines()]
    assert all({"time", "level", "logger", "message", "pid"} <= set(line) for line in lines)
    assert {"INFO", "ERROR", "CRITICAL"} <= {line["level"] for line in lines}
    assert password not in server.output
    offline = [line for line in lines if line["level"] == "CRITICAL"]
    assert "database offline" in offline[0]["message"]
    [access] = [line for line in lines if line.get("path") == "/raise"]
    assert (access["status"], access["client"], access["request_id"]) == (
        500,
        "127.0.0.0/24",
        "made-by-a-test",
    )
    [trace] = [line for line in lines if "exception" in line]
    assert (trace["level"], trace["request_id"]) == ("ERROR", "made-by-a-test")
    assert trace["exception"].endswith("RuntimeError: on purpose")


def record(message: str, *args: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("app.somewhere", logging.INFO, __file__, 1, message, args, None)
    vars(made).update(more)
    return made


def test_extra_fields_stand_beside_the_message() -> None:
    line = json.loads(Json(str).format(record("did %d", 3, rows=7, odd=Path("x"))))
    assert (line["message"], line["rows"], line["odd"]) == ("did 3", 7, "x")


def test_nobody_forges_a_line() -> None:
    text = Masked(str).format(record("path %s", "/x\n2026-01-01 CRITICAL app forged"))
    assert "\n" not in text
    assert "\n" not in Json(str).format(record("path %s", "/x\nforged"))


def test_slow_queries_are_warnings_and_parameters_are_never_told(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(Settings.load(database_url=sqlite_url))
    log_queries(engine, slow=0.05)
    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)\n SELECT count(*) FROM n"
    )
    with caplog.at_level(logging.DEBUG, "app.telemetry"), closing(engine.connect()) as connection:
        connection.exec_driver_sql("SELECT ?", ("Petty Kash",))
        connection.exec_driver_sql(slow, (1_000_000,))
    engine.dispose()
    quick_one, slow_one = (line for line in caplog.records if "SELECT" in line.getMessage())
    assert (quick_one.levelname, slow_one.levelname) == ("DEBUG", "WARNING")
    assert quick_one.getMessage().startswith("query 0.0")
    assert slow_one.getMessage().startswith("slow query ")
    assert slow_one.getMessage().endswith("WHERE i < ?) SELECT count(*) FROM n")
    assert "Petty Kash" not in caplog.text


def test_the_format_follows_the_mode() -> None:
    assert type(formatter(Settings.load())) is Masked
    assert type(formatter(Settings.load(log_format="json"))) is Json
