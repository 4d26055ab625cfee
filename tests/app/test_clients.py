from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.models import DiagnosticSummary
from tests.app.conftest import log_in, upload


def test_clients_need_a_token(client: httpx.Client) -> None:
    for answer in (
        client.get("/clients"),
        client.post("/clients", json={"name": "x"}),
        client.get("/clients/1"),
        client.put("/clients/1", json={"name": "x"}),
        client.delete("/clients/1"),
    ):
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_create_read_and_list(user: httpx.Client) -> None:
    created = user.post("/clients", json={"name": "  Analytical Engines Ltd "})
    assert (created.status_code, created.json()["name"]) == (201, "Analytical Engines Ltd")
    assert user.get(created.headers["Location"]).json() == created.json()
    assert user.get(f"/clients/{created.json()['id']}").json()["name"] == "Analytical Engines Ltd"
    assert [client["id"] for client in user.get("/clients").json()] == [created.json()["id"]]


def test_a_list_comes_in_pages(user: httpx.Client) -> None:
    ids = [user.post("/clients", json={"name": f"client {n}"}).json()["id"] for n in range(5)]
    first = user.get("/clients", params={"limit": 3})
    rest = user.get(first.links["next"]["url"])
    assert [client["id"] for client in first.json() + rest.json()] == ids
    assert [len(first.json()), rest.links] == [3, {}]


def test_the_last_page_is_full_and_has_no_next(user: httpx.Client) -> None:
    for n in range(4):
        user.post("/clients", json={"name": f"client {n}"})
    first = user.get("/clients", params={"limit": 2})
    last = user.get(first.links["next"]["url"])
    assert [len(last.json()), last.links] == [2, {}]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "after=0", "after=99999999999", "after=x"]
)
def test_pages_have_bounds(user: httpx.Client, query: str) -> None:
    assert user.get(f"/clients?{query}").status_code == 422


def test_a_client_is_renamed(user: httpx.Client) -> None:
    created = user.post("/clients", json={"name": "Old"}).json()
    renamed = user.put(f"/clients/{created['id']}", json={"name": " New "})
    assert (renamed.status_code, renamed.json()) == (200, {**created, "name": "New"})
    assert user.get(f"/clients/{created['id']}").json() == renamed.json()
    assert user.put(f"/clients/{created['id']}", json={"name": ""}).status_code == 422


def test_a_deleted_client_is_gone_and_its_summaries_stay(user: httpx.Client, app: FastAPI) -> None:
    client_id = user.post("/clients", json={"name": "Gone"}).json()["id"]
    assert upload(user, client_id=str(client_id)).status_code == 200
    deleted = user.delete(f"/clients/{client_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for again in (user.get(f"/clients/{client_id}"), user.delete(f"/clients/{client_id}")):
        assert again.status_code == 404
    with app.state.sessions() as session:
        assert session.scalars(select(DiagnosticSummary.client_id)).all() == [None]


def test_somebody_elses_client_does_not_exist(user: httpx.Client) -> None:
    theirs = user.post("/clients", json={"name": "Mine"}).json()["id"]
    user.headers["Authorization"] = f"Bearer {log_in(user, 'eve@example.com')}"
    assert user.get("/clients").json() == []
    for path in (f"/clients/{theirs}", "/clients/999"):
        answers = user.get(path), user.put(path, json={"name": "Eve's"}), user.delete(path)
        assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {
            (404, "No such client")
        }
    user.headers["Authorization"] = f"Bearer {log_in(user)}"
    assert user.get(f"/clients/{theirs}").json()["name"] == "Mine"


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "line\nbreak", "x" * 201, None])
def test_a_bad_name_is_refused(user: httpx.Client, name: str | None) -> None:
    assert user.post("/clients", json={"name": name}).status_code == 422


@pytest.mark.parametrize("client_id", ["0", "-1", "abc", "99999999999999999999"])
def test_an_impossible_id_is_refused(user: httpx.Client, client_id: str) -> None:
    assert user.get(f"/clients/{client_id}").status_code == 422


def test_a_large_body_is_refused(user: httpx.Client) -> None:
    answer = user.post("/clients", json={"name": "x" * 1_000_001})
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 1,000,000 bytes")
