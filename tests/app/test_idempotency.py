from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select, update

from app import idempotency
from app.main import create_app
from app.models import ActivityLog, DiagnosticSummary, IdempotencyKey
from app.settings import Settings
from tests.app.conftest import BALANCED, log_in, served


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def app(request: pytest.FixtureRequest) -> Iterator[FastAPI]:
    url = request.getfixturevalue(request.param)
    app = create_app(Settings.load(database_url=url), CollectorRegistry())
    yield app
    app.state.engine.dispose()


@pytest.fixture
def user(app: FastAPI) -> Iterator[httpx.Client]:
    with served(app) as client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        yield client


def create(client: httpx.Client, key: str, name: str = "Analytical Engines Ltd") -> httpx.Response:
    return client.post("/clients", json={"name": name}, headers={"Idempotency-Key": key})


def upload(client: httpx.Client, key: str, content: bytes = BALANCED) -> httpx.Response:
    files = {"file": ("trial-balance.csv", content, "text/csv")}
    return client.post("/audit/trial-balance", files=files, headers={"Idempotency-Key": key})


def test_a_retry_makes_nothing_again(user: httpx.Client) -> None:
    first, again = create(user, "k1"), create(user, "k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(user.get("/clients").json()) == 1
    assert len(user.get("/activity").json()) == 2
    assert create(user, "k2").json()["id"] != first.json()["id"]


def test_without_a_key_every_request_makes_one(user: httpx.Client) -> None:
    made = [user.post("/clients", json={"name": "Twin"}).json()["id"] for _ in range(2)]
    assert len(set(made)) == 2


def test_a_key_is_good_for_one_request_only(user: httpx.Client) -> None:
    create(user, "k")
    for other in (create(user, "k", "Another Ltd"), upload(user, "k")):
        assert other.status_code == 422
        assert other.json()["type"] == "urn:paciolus:problem:idempotency-key-reused"
    assert len(user.get("/clients").json()) == 1


def test_keys_are_ones_own(user: httpx.Client) -> None:
    mine = create(user, "k").json()["id"]
    user.headers["Authorization"] = f"Bearer {log_in(user, 'eve@example.com')}"
    theirs = create(user, "k")
    assert (theirs.status_code, theirs.json()["id"] != mine) == (201, True)


def test_retries_at_the_same_time_make_one(user: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: create(user, "k"), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(user.get("/clients").json()) == 1


def test_a_repeated_upload_is_one_summary_and_stores_nothing_of_it(user: httpx.Client, app: FastAPI) -> None:
    content = b"Account,Debit,Credit\n1000 Xyzzy,12345.67,\n4000 Plugh,,12345.67\n"
    first, again = upload(user, "k", content), upload(user, "k", content)
    assert first.json() == again.json()
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert upload(user, "k").status_code == 422
    with app.state.sessions() as session:
        assert session.scalar(select(func.count(DiagnosticSummary.id))) == 1
        analysed = select(func.count(ActivityLog.id)).where(ActivityLog.action == "trial_balance_analysed")
        assert session.scalar(analysed) == 1
        kept = session.scalars(select(IdempotencyKey)).one()
        assert (kept.key, kept.subject_id, len(kept.fingerprint)) == ("k", first.json()["summary_id"], 64)


def test_a_failed_request_leaves_its_key_free(user: httpx.Client) -> None:
    assert upload(user, "k", b"no trial balance").status_code == 422
    assert upload(user, "k").status_code == 200


def test_what_was_made_and_deleted_is_not_made_again(user: httpx.Client) -> None:
    made = create(user, "k").json()["id"]
    user.delete(f"/clients/{made}")
    again = create(user, "k")
    assert (again.status_code, again.json()["type"]) == (409, "urn:paciolus:problem:deleted")


def test_keys_expire(user: httpx.Client, app: FastAPI) -> None:
    first = create(user, "k").json()["id"]
    with app.state.sessions.begin() as session:
        past = datetime.now(UTC) - idempotency.LIFETIME - timedelta(seconds=1)
        session.execute(update(IdempotencyKey).values(created_at=past))
    assert create(user, "k", "Another Ltd").json()["id"] != first
    assert keys(app) == ["k"]


def test_keys_are_bounded(user: httpx.Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_KEYS", 3)
    for n in range(5):
        create(user, f"k{n}")
    assert keys(app) == ["k2", "k3", "k4"]


def keys(app: FastAPI) -> list[str]:
    with app.state.sessions() as session:
        return list(session.scalars(select(IdempotencyKey.key).order_by(IdempotencyKey.id)))


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\there"])
def test_odd_keys_are_refused(user: httpx.Client, key: str) -> None:
    assert create(user, key).status_code == 422
