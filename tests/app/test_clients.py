from __future__ import annotations

import httpx
import pytest

from tests.app.conftest import log_in


def test_clients_need_a_token(client: httpx.Client) -> None:
    for answer in (
        client.get("/clients"),
        client.post("/clients", json={"name": "x"}),
        client.get("/clients/1"),
    ):
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_create_read_and_list(user: httpx.Client) -> None:
    created = user.post("/clients", json={"name": "  Analytical Engines Ltd "})
    assert (created.status_code, created.json()["name"]) == (201, "Analytical Engines Ltd")
    assert user.get(f"/clients/{created.json()['id']}").json()["name"] == "Analytical Engines Ltd"
    assert [client["id"] for client in user.get("/clients").json()] == [created.json()["id"]]


def test_a_list_comes_in_pages(user: httpx.Client) -> None:
    ids = [user.post("/clients", json={"name": f"client {n}"}).json()["id"] for n in range(5)]
    first = user.get("/clients", params={"limit": 3}).json()
    rest = user.get("/clients", params={"limit": 3, "after": first[-1]["id"]}).json()
    assert [client["id"] for client in first + rest] == ids


def test_somebody_elses_client_does_not_exist(user: httpx.Client) -> None:
    theirs = user.post("/clients", json={"name": "Mine"}).json()["id"]
    user.headers["Authorization"] = f"Bearer {log_in(user, 'eve@example.com')}"
    assert user.get("/clients").json() == []
    stolen, missing = user.get(f"/clients/{theirs}"), user.get("/clients/999")
    assert (stolen.status_code, stolen.text) == (404, missing.text)


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "line\nbreak", "x" * 201, None])
def test_a_bad_name_is_refused(user: httpx.Client, name: str | None) -> None:
    assert user.post("/clients", json={"name": name}).status_code == 422


@pytest.mark.parametrize("client_id", ["0", "-1", "abc", "99999999999999999999"])
def test_an_impossible_id_is_refused(user: httpx.Client, client_id: str) -> None:
    assert user.get(f"/clients/{client_id}").status_code == 422


def test_a_large_body_is_refused(user: httpx.Client) -> None:
    answer = user.post("/clients", json={"name": "x" * 1_000_001})
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 1,000,000 bytes")
