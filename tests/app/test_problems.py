from __future__ import annotations

import json
from typing import BinaryIO

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app import trial_balance
from app.diagnostics import Diagnosis, analyse
from app.main import create_app
from app.problems import PLAIN, problems
from app.settings import Settings
from tests.app.conftest import PASSWORD, log_in, served, upload

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}


def assert_problem(answer: httpx.Response, status: int) -> None:
    told = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, told["status"]) == (status, status)
    assert set(told) - {"errors"} == MEMBERS
    assert told["request_id"] == answer.headers["X-Request-ID"]


def test_every_error_has_the_same_shape(user: httpx.Client) -> None:
    def post(content: bytes, content_type: str) -> httpx.Response:
        return user.post("/audit/trial-balance", content=content, headers={"Content-Type": content_type})

    json_type = {"Content-Type": "application/json"}
    answers = {
        "nowhere": (user.get("/nowhere/ä b"), 404),
        "no method": (user.patch("/clients"), 405),
        "no client": (user.get("/clients/99"), 404),
        "not json": (user.post("/clients", content=b"{", headers=json_type), 422),
        "not text": (user.post("/clients", content=b'{"name": "\xff"}', headers=json_type), 400),
        "too large": (user.post("/clients", json={"name": "x" * 1_000_001}), 413),
        "no form": (post(b"x", "text/plain"), 415),
        "no multipart": (post(b"x", "multipart/form-data; boundary=b"), 400),
        "no trial balance": (upload(user, b"x"), 422),
        "no token": (httpx.get(user.base_url.join("/activity"), trust_env=False), 401),
    }
    for answer, status in answers.values():
        assert_problem(answer, status)
    told = answers["nowhere"][0].json()
    assert (told["type"], told["title"], told["instance"]) == (PLAIN, "Not Found", "/nowhere/%C3%A4%20b")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/clients", "GET, POST"),
        ("/clients/1", "DELETE, GET, PUT"),
        ("/health/ready", "GET"),
        ("/metrics", "GET, HEAD"),
    ],
)
def test_a_405_names_every_method_of_the_path(client: httpx.Client, path: str, allowed: str) -> None:
    answer = client.patch(path)
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == allowed


def test_invalid_fields_are_named_and_their_values_are_not_repeated(client: httpx.Client) -> None:
    answer = client.post("/auth/register", json={"email": "nobody at home", "password": [PASSWORD]})
    assert_problem(answer, 422)
    told = answer.json()
    assert told["type"] == "urn:paciolus:problem:invalid-request"
    assert [error["loc"] for error in told["errors"]] == [["body", "email"], ["body", "password"]]
    assert told["detail"].startswith("body.email: ")
    for sent in (PASSWORD, "nobody at home"):
        assert sent not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"summary_id": 1, "x" * 100_000: 1},
        {f"field {n}": n for n in range(5_000)},
        {"summary_id": 1, "\ud800": 1},
        {"summary_id": "\ud800"},
    ],
)
def test_answers_to_odd_fields_are_bounded(user: httpx.Client, body: dict[str, object]) -> None:
    headers = {"Content-Type": "application/json"}
    answer = user.post("/export/pdf", content=json.dumps(body), headers=headers)
    assert_problem(answer, 422)
    assert len(answer.content) < 15_000


@pytest.mark.parametrize("database", ["sqlite_url", "postgres_url"])
def test_what_is_deleted_meanwhile_is_a_conflict(
    database: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings.load(database_url=request.getfixturevalue(database)), CollectorRegistry())
    with served(app) as user:
        user.headers["Authorization"] = f"Bearer {log_in(user)}"
        client_id = user.post("/clients", json={"name": "Gone"}).json()["id"]

        def analyse_and_delete(content: BinaryIO, name: str) -> Diagnosis:
            assert (
                httpx.delete(f"{user.base_url}/clients/{client_id}", headers=user.headers).status_code == 204
            )
            return analyse(content, name)

        monkeypatch.setattr(trial_balance, "analyse", analyse_and_delete)
        assert_problem(upload(user, client_id=str(client_id)), 409)
    app.state.engine.dispose()


def test_the_document_knows_one_shape_of_errors(app: FastAPI) -> None:
    document = app.openapi()
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    documented = {
        status: answer
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status[0] == "4" and path != "/health/ready"
    }
    assert {"400", "401", "404", "409", "413", "415", "422"} <= set(documented)
    assert [status for status, answer in documented.items() if answer["content"] != problem] == []
    assert "HTTPValidationError" not in json.dumps(document)
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == MEMBERS | {"errors"}


def test_a_status_may_have_words_of_its_own() -> None:
    described = problems(401, 404, _404="No such summary")
    assert [described[401]["description"], described[404]["description"]] == [
        "No valid token",
        "No such summary",
    ]
