from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.main import METHODS, create_app
from app.settings import Settings
from tests.app.conftest import StartServer, served
from tests.servers import wait_until

ORIGIN = "http://localhost:3000"
PRODUCTION = {
    "env_mode": "production",
    "jwt_secret_key": "0123456789abcdef" * 4,
    "cors_origins": "https://paciolus.com",
    "database_url": f"postgresql://nobody:{'0123456789abcdef' * 2}@127.0.0.1:1/paciolus",
}


@pytest.fixture
def raising(app: FastAPI) -> Iterator[httpx.Client]:
    def raises() -> None:
        raise RuntimeError("on purpose")

    app.add_api_route("/raise", raises)
    with served(app) as client:
        yield client


@pytest.fixture
def production() -> Iterator[httpx.Client]:
    app = create_app(Settings.load(**PRODUCTION), CollectorRegistry())
    with served(app) as client:
        yield client
    app.state.engine.dispose()


def every_kind_of_answer(client: httpx.Client) -> dict[int, httpx.Response]:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answers = [
        client.get("/health"),
        client.get("/metrics"),
        client.options("/clients", headers=preflight),
        client.options("/clients", headers=preflight | {"Origin": "http://elsewhere.example"}),
        client.get("/clients"),
        client.get("/nothing-here"),
        client.delete("/health"),
        client.post("/auth/login", content=b"x" * 1_000_001),
        client.post("/auth/login", json={}),
        client.get("/raise"),
    ]
    return {answer.status_code: answer for answer in answers}


def test_every_answer_has_the_headers(raising: httpx.Client) -> None:
    answers = every_kind_of_answer(raising)
    assert sorted(answers) == [200, 400, 401, 404, 405, 413, 422, 500]
    for status, answer in answers.items():
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff", status
        assert headers["X-Frame-Options"] == "DENY", status
        assert headers["Referrer-Policy"] == "no-referrer", status
        assert headers["Cache-Control"] == "no-store", status
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'", status
        assert len(headers.get_list("X-Request-ID")) == 1, status
        assert "Strict-Transport-Security" not in headers, status
    assert len({answer.headers["X-Request-ID"] for answer in answers.values()}) == len(answers)


def test_a_browser_may_read_errors_too(raising: httpx.Client) -> None:
    for path in ("/raise", "/clients", "/nothing-here"):
        ours = raising.get(path, headers={"Origin": ORIGIN})
        assert ours.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "X-Request-ID" in ours.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in ours.headers
        others = raising.get(path, headers={"Origin": "http://elsewhere.example"})
        assert "Access-Control-Allow-Origin" not in others.headers


def test_browsers_may_send_what_the_routes_take(app: FastAPI) -> None:
    taken = {method.upper() for path in app.openapi()["paths"].values() for method in path}
    assert taken <= set(METHODS)


@pytest.mark.parametrize("sane", ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "abcdefgh", "A" * 64])
def test_a_sane_request_id_is_kept(client: httpx.Client, sane: str) -> None:
    assert client.get("/health", headers={"X-Request-ID": sane}).headers["X-Request-ID"] == sane


@pytest.mark.parametrize(
    "odd", ["short", "A" * 65, "ada@example.com", "two words", "-eight-char", '"quoted-id"', "café-café-café"]
)
def test_an_odd_request_id_is_replaced(client: httpx.Client, odd: str) -> None:
    answer = client.get("/health", headers=[(b"X-Request-ID", odd.encode("latin-1"))])
    assert len(answer.headers["X-Request-ID"]) == 32


def test_the_request_id_is_in_every_line_about_the_request(serve: StartServer) -> None:
    server, client = serve("tests.app.raising:create", {"LOG_LEVEL": "DEBUG"})
    name = "one-certain-request"
    with client:
        client.get("/raise", headers={"X-Request-ID": name})
        client.post(
            "/auth/login", json={"email": "a", "password": "b"}, headers={"X-Request-ID": name + "-2"}
        )
    wait_until(lambda: "RuntimeError: on purpose" in server.output, 10, "the trace is logged")
    about = [line for line in server.output.splitlines() if f"request_id={name}" in line]
    assert any("ERROR uvicorn.error Exception in ASGI application" in line for line in about)
    assert any("DEBUG app.telemetry query" in line and line.endswith("-2") for line in about), (
        "in threads too"
    )


def test_production_is_https_only_and_publishes_no_documentation(production: httpx.Client) -> None:
    assert (
        production.get("/health").headers["Strict-Transport-Security"]
        == "max-age=63072000; includeSubDomains"
    )
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"):
        answer = production.get(path)
        assert (answer.status_code, "Strict-Transport-Security" in answer.headers) == (404, True), path


def test_a_defect_in_production_shows_no_trace() -> None:
    app = create_app(Settings.load(**PRODUCTION), CollectorRegistry())

    def raises() -> None:
        raise RuntimeError("on purpose")

    app.add_api_route("/raise", raises)
    with served(app) as client:
        answer = client.get("/raise")
    app.state.engine.dispose()
    assert (answer.status_code, answer.headers["X-Frame-Options"]) == (500, "DENY")
    for told in ("Traceback", "RuntimeError", "on purpose", "raises"):
        assert told not in answer.text


def test_documentation_runs_its_scripts_in_development(client: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        answer = client.get(path)
        assert (answer.status_code, "Content-Security-Policy" in answer.headers) == (200, False)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
