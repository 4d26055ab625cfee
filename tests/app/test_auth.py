from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from app import security
from app.auth import LOGIN_FAILURES
from app.main import create_app
from app.models import ActivityLog, Client, DiagnosticSummary, IdempotencyKey, RevokedToken, User
from app.settings import DEVELOPMENT_SECRET, Settings
from tests.app.conftest import PASSWORD, log_in, register, samples, served, upload

NONE_FAILED = dict.fromkeys(LOGIN_FAILURES, 0.0)


def failures(client: httpx.Client) -> dict[str, float]:
    page = samples(client.get("/metrics").text)
    return {reason: page[f'auth_login_failures_total{{reason="{reason}"}}'] for reason in LOGIN_FAILURES}


def attempt(client: httpx.Client, email: str, password: str) -> httpx.Response:
    return client.post("/auth/login", json={"email": email, "password": password})


def said(answer: httpx.Response) -> tuple[object, ...]:
    """All that could tell one refusal from another, but the number of the request."""
    body = {key: value for key, value in answer.json().items() if key != "request_id"}
    headers = {name for name, _ in answer.headers.items()}
    return answer.status_code, str(sorted(body.items())), str(sorted(headers))


def test_register_log_in_and_be_known(client: httpx.Client) -> None:
    registered = register(client, "Ada@Example.com")
    assert (registered.status_code, registered.json()["email"]) == (201, "ada@example.com")
    token = attempt(client, "ADA@example.com", PASSWORD).json()
    assert (token["token_type"], token["expires_in"]) == ("bearer", 480 * 60)
    me = client.get("/auth/me", headers={"Authorization": f"Bearer {token['access_token']}"})
    assert me.json() == registered.json()


def test_an_account_is_deleted_with_all_that_is_its_own(user: httpx.Client, app: FastAPI) -> None:
    other = httpx.Client(base_url=user.base_url, timeout=20, trust_env=False)
    other.headers["Authorization"] = f"Bearer {log_in(other, 'grace@example.com')}"
    for who in (user, other):
        client = who.post("/clients", json={"name": "Engines"}, headers={"Idempotency-Key": "1"}).json()["id"]
        assert upload(who, client_id=str(client)).status_code == 200
    assert user.post("/auth/delete", json={"password": PASSWORD}).status_code == 204
    assert user.get("/auth/me").status_code == 401
    assert attempt(user, "ada@example.com", PASSWORD).status_code == 401
    with app.state.sessions() as session:
        for table in (Client, DiagnosticSummary, IdempotencyKey, ActivityLog):
            owners = set(session.scalars(select(table.user_id)))
            assert owners == {other.get("/auth/me").json()["id"]}, table
    other.close()


def test_deleting_takes_the_password_and_guessing_it_counts(user: httpx.Client) -> None:
    before = failures(user)
    assert user.post("/auth/delete", json={"password": "wrong horse 1"}).status_code == 401
    assert failures(user)["bad_password"] == before["bad_password"] + 1
    assert user.get("/auth/me").status_code == 200
    for _ in range(5):
        user.post("/auth/delete", json={"password": "wrong horse 1"})
    assert user.post("/auth/delete", json={"password": PASSWORD}).status_code == 401  # locked


def test_an_address_is_registered_once(client: httpx.Client) -> None:
    assert register(client).status_code == 201
    assert register(client).status_code == 409


@pytest.mark.parametrize(
    ("password", "missing"),
    [
        ("short1", "at least 10 characters"),
        ("1234567890", "a letter"),
        ("no digits here", "a digit"),
        ("....", "at least 10 characters, a letter, a digit"),
        ("a1" * 65, "at most 128 characters"),
    ],
)
def test_password_rules_are_told_all_at_once(client: httpx.Client, password: str, missing: str) -> None:
    answer = client.post("/auth/register", json={"email": "ada@example.com", "password": password})
    assert answer.status_code == 422
    assert f"a password needs {missing}" in answer.json()["detail"]
    assert password not in answer.text


@pytest.mark.parametrize("password", ["Password123", "1Q2W3E4R5T", "my-lovelace-2026"])
def test_passwords_that_a_guesser_tries_first_are_refused(client: httpx.Client, password: str) -> None:
    account = {"email": "Lovelace@example.com", "password": password}
    answer = client.post("/auth/register", json=account)
    assert answer.status_code == 422
    assert "password" in answer.json()["detail"]
    assert "lovelace" not in answer.text.lower()


def test_failures_are_born_at_zero_and_counted_by_reason(client: httpx.Client, app: FastAPI) -> None:
    assert failures(client) == NONE_FAILED
    register(client)
    register(client, "left@example.com")
    with app.state.sessions.begin() as session:
        session.execute(update(User).where(User.email == "left@example.com").values(is_active=False))
    attempts = [
        attempt(client, "ada@example.com", "wrong"),
        attempt(client, "nobody@example.com", PASSWORD),
        attempt(client, "not an address", PASSWORD),
        attempt(client, "left@example.com", PASSWORD),
    ]
    assert {answer.status_code for answer in attempts} == {401}
    assert len({said(answer) for answer in attempts}) == 1, "the answer must not tell which addresses exist"
    assert failures(client) == {**NONE_FAILED, "unknown_user": 2, "bad_password": 1, "inactive": 1}


def test_a_failed_login_only_selects(client: httpx.Client, app: FastAPI) -> None:
    register(client)
    statements: list[str] = []
    event.listen(app.state.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    attempt(client, "ada@example.com", "wrong")
    attempt(client, "nobody@example.com", "wrong")
    assert [statement.split()[0] for statement in statements] == ["SELECT", "SELECT"]


def token_of(key: str = DEVELOPMENT_SECRET, algorithm: str = "HS256", **claims: object) -> str:
    """Of user 1 and good, but for `claims`; None leaves one out."""
    now = datetime.now(UTC)
    good = {"sub": "1", "iat": now, "exp": now + timedelta(hours=1), "jti": "a-token"}
    kept = {name: value for name, value in {**good, **claims}.items() if value is not None}
    named = {"kid": security.fingerprint(DEVELOPMENT_SECRET)}
    return jwt.encode(kept, key, algorithm, headers=named)


def me(client: httpx.Client, token: str) -> httpx.Response:
    return client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})


def test_a_token_like_ours_is_good(client: httpx.Client) -> None:
    """The others below are refused for what they say, not for how they are made."""
    register(client)
    assert me(client, token_of()).status_code == 200


FOREIGN = "another-secret-another-secret-another"
NINE_HOURS = timedelta(hours=9)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("garbage", id="garbage"),
        pytest.param("a.b.c", id="three parts of garbage"),
        pytest.param(token_of(FOREIGN), id="foreign key"),
        pytest.param(token_of("", "none"), id="unsigned"),
        pytest.param(token_of(DEVELOPMENT_SECRET * 2, "HS512"), id="another algorithm"),
        pytest.param(token_of(exp=datetime.now(UTC) - timedelta(seconds=1)), id="expired"),
        pytest.param(token_of(iat=datetime.now(UTC) - NINE_HOURS), id="older than any of ours"),
        pytest.param(token_of(iat=datetime.now(UTC) + NINE_HOURS), id="of the future"),
        pytest.param(token_of(iat=10**30), id="of no year"),
        pytest.param(token_of(sub="ada"), id="no number"),
        pytest.param(token_of(sub="999"), id="no such user"),
        pytest.param(token_of(exp=None), id="no expiry"),
        pytest.param(token_of(iat=None), id="no age"),
        pytest.param(token_of(jti=None), id="no name to revoke it by"),
        pytest.param(token_of()[:-6] + "AAAAAA", id="tampered"),
    ],
)
def test_a_bad_token_is_refused(client: httpx.Client, token: str) -> None:
    register(client)
    answer = me(client, token)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json()["detail"] == "Could not validate credentials"


def test_a_token_that_somebody_wrote_on_is_refused(client: httpx.Client) -> None:
    """Another user's number in a signed token."""
    head, _, signature = log_in(client).split(".")
    _, claims, _ = token_of(sub="2").split(".")
    assert me(client, ".".join((head, claims, signature))).status_code == 401


def test_a_deactivated_user_is_out_at_once(user: httpx.Client, app: FastAPI) -> None:
    assert user.get("/auth/me").status_code == 200
    with app.state.sessions.begin() as session:
        session.execute(update(User).values(is_active=False))
    assert user.get("/auth/me").status_code == 401


def test_logging_out_ends_one_token(client: httpx.Client) -> None:
    first, second = log_in(client), log_in(client)
    bearer = {"Authorization": f"Bearer {first}"}
    assert client.post("/auth/logout", headers=bearer).status_code == 204
    assert me(client, first).status_code == 401
    assert client.post("/auth/logout", headers=bearer).status_code == 401
    assert client.get("/clients", headers=bearer).status_code == 401
    assert me(client, second).status_code == 200


def test_logging_out_twice_at_the_same_time_is_one_logout(user: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: user.post("/auth/logout").status_code, range(4)))
    assert set(answers) <= {204, 401}
    assert 204 in answers


def test_revoked_tokens_are_forgotten_when_they_would_have_expired(user: httpx.Client, app: FastAPI) -> None:
    now = datetime.now(UTC)
    with app.state.sessions.begin() as session:
        session.add(RevokedToken(id="expired", expires_at=now - timedelta(seconds=5)))
        session.add(RevokedToken(id="still good", expires_at=now + timedelta(hours=1)))
    assert user.post("/auth/logout").status_code == 204
    with app.state.sessions() as session:
        kept = set(session.scalars(select(RevokedToken.id)))
        actions = list(session.scalars(select(ActivityLog.action).order_by(ActivityLog.id)))
    assert len(kept) == 2
    assert "still good" in kept
    assert actions[-1] == "logged_out"


def test_logging_out_on_postgresql(postgres_url: str) -> None:
    app = create_app(Settings.load(database_url=postgres_url), CollectorRegistry())
    with served(app) as client:
        tokens = [log_in(client) for _ in range(2)]
        for token in tokens:
            bearer = {"Authorization": f"Bearer {token}"}
            assert client.post("/auth/logout", headers=bearer).status_code == 204
            assert me(client, token).status_code == 401


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
@pytest.mark.parametrize("field", ["email", "password"])
def test_half_a_surrogate_pair_is_invalid(client: httpx.Client, path: str, field: str) -> None:
    account = {"email": "ada@example.com", "password": PASSWORD, field: "ada\ud800@example.com 1"}
    answer = client.post(path, content=json.dumps(account), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_who_is_asking_costs_one_query(user: httpx.Client, app: FastAPI) -> None:
    """Whether the token is revoked and whether the user is active come in the same answer."""
    statements: list[str] = []
    event.listen(app.state.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert user.get("/auth/me").status_code == 200
    assert len(statements) == 1


def test_a_locked_account_looks_like_a_wrong_password(client: httpx.Client) -> None:
    register(client)
    wrong = [attempt(client, "ada@example.com", "wrong") for _ in range(5)]
    right = attempt(client, "ada@example.com", PASSWORD)
    nobody = [attempt(client, "nobody@example.com", "wrong") for _ in range(6)]
    assert len({said(answer) for answer in (*wrong, right, *nobody)}) == 1
    assert failures(client) == {**NONE_FAILED, "bad_password": 5, "locked": 2, "unknown_user": 5}


def test_success_forgives_failures(client: httpx.Client) -> None:
    register(client)
    for _ in range(3):
        assert [attempt(client, "ada@example.com", "wrong").status_code for _ in range(4)] == [401] * 4
        assert attempt(client, "ada@example.com", PASSWORD).status_code == 200
    assert failures(client)["locked"] == 0


def test_a_storm_is_told_when_to_go_on_and_every_attempt_counts(client: httpx.Client) -> None:
    register(client)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda turn: attempt(client, f"{turn}@example.com", "wrong"), range(60)))
    late = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert len(late) >= 35
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in late)
    counted = failures(client)
    assert (counted["throttled"], sum(counted.values())) == (len(late), 60)


def test_registrations_are_throttled_too(client: httpx.Client) -> None:
    """They tell who has an account, and cost as much as a login."""
    answers = [register(client, f"{turn}@example.com") for turn in range(25)]
    assert {answer.status_code for answer in answers[:20]} == {201}
    assert answers[-1].status_code == 429
    assert "Retry-After" in answers[-1].headers
    assert failures(client) == NONE_FAILED


def test_attempts_without_an_answer_lock_nobody(client: httpx.Client, app: FastAPI) -> None:
    register(client)
    healthy = app.state.sessions

    def offline() -> None:
        raise OperationalError("SELECT", {}, Exception("the server is gone"))

    app.state.sessions = offline
    assert [attempt(client, "ada@example.com", PASSWORD).status_code for _ in range(30)] == [503] * 30
    app.state.sessions = healthy
    assert attempt(client, "ada@example.com", PASSWORD).status_code == 200
    assert failures(client) == NONE_FAILED


def test_logs_know_no_addresses_and_no_passwords(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        token = log_in(client)
        register(client)
        attempt(client, "ada@example.com", "wrong-password-1")
        attempt(client, "\x00", PASSWORD)
    assert "registered user=1" in caplog.text
    assert "logged in user=1" in caplog.text
    for secret in ("ada@", "example.com", PASSWORD, "wrong-password-1", token, DEVELOPMENT_SECRET):
        assert secret not in caplog.text
