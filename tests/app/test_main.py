from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

import app.main
from app.main import create_app
from app.settings import Settings
from app.version import VERSION
from tests.app.conftest import PASSWORD, StartServer, samples
from tests.servers import wait_until


def test_every_app_has_metrics_of_its_own(sqlite_url: str) -> None:
    apps = [create_app(Settings.load(database_url=sqlite_url), CollectorRegistry()) for _ in range(3)]
    assert len({id(app.state.login_failures) for app in apps}) == 3
    for one in apps:
        one.state.engine.dispose()


def test_metrics_are_born_with_the_app(client: httpx.Client) -> None:
    page = samples(client.get("/metrics").text)
    born = [
        f'app_build_info{{version="{VERSION}"}}',
        'auth_login_failures_total{reason="bad_password"}',
        'http_request_duration_seconds_count{method="POST",route="/audit/trial-balance",status="500"}',
        'http_request_duration_seconds_count{method="GET",route="/clients/{client_id}",status="503"}',
        "http_requests_in_progress",
        "db_pool_size",
        "db_pool_overflow_limit",
        "db_pool_checked_out",
        "db_pool_waiters",
        "db_pool_checkout_wait_seconds_count",
        "db_pool_timeouts_total",
        "process_tree_memory_bytes",
        "process_tree_anonymous_memory_bytes",
        "process_tree_memory_limit_bytes",
        "process_tree_cpu_seconds_total",
        "process_tree_open_files",
    ]
    assert [name for name in born if name not in page] == []
    assert (page["db_pool_size"], page["db_pool_overflow_limit"]) == (10, 20)


def test_only_configured_origins_may_call(client: httpx.Client) -> None:
    def preflight(origin: str) -> str:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = client.options("/clients", headers=headers)
        return str(answer.headers.get("Access-Control-Allow-Origin"))

    assert preflight("http://localhost:3000") == "http://localhost:3000"
    assert preflight("http://localhost:3001") == "None"


def test_mistakes_are_told_without_what_was_sent(client: httpx.Client) -> None:
    answer = client.post("/auth/register", json={"email": "nobody", "password": PASSWORD})
    assert (answer.status_code, sorted(answer.json()["errors"][0])) == (422, ["loc", "msg", "type"])
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_shows_its_trace_in_debug_only(sqlite_url: str, debug: bool, serve: StartServer) -> None:
    server, client = serve("tests.app.raising:create", {"DEBUG": str(debug)})
    with client:
        answer = client.get("/raise")
    assert answer.status_code == 500
    assert ("Traceback" in answer.text) is debug
    wait_until(lambda: "RuntimeError: on purpose" in server.output, 10, "the trace is logged")


def test_the_module_has_an_app_and_nothing_else() -> None:
    with pytest.raises(AttributeError, match=r"module 'app.main' has no attribute 'application'"):
        _ = app.main.application


def test_the_document_describes_the_upload(app: FastAPI) -> None:
    upload = app.openapi()["paths"]["/audit/trial-balance"]["post"]
    assert upload["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["file"]
    assert {"200", "401", "404", "413", "422"} <= set(upload["responses"])
