from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import event, update

from app.models import User
from app.settings import DEVELOPMENT_SECRET, Settings
from tests.app.conftest import PASSWORD, log_in, register, samples


def failures(client: httpx.Client) -> dict[str, float]:
    page = samples(client.get("/metrics").text)
    return {
        reason: page[f'auth_login_failures_total{{reason="{reason}"}}']
        for reason in ("unknown_user", "bad_password", "inactive")
    }


def attempt(client: httpx.Client, email: str, password: str) -> httpx.Response:
    return client.post("/auth/login", json={"email": email, "password": password})


def test_register_log_in_and_be_known(client: httpx.Client) -> None:
    registered = register(client, "Ada@Example.com")
    assert (registered.status_code, registered.json()["email"]) == (201, "ada@example.com")
    token = attempt(client, "ADA@example.com", PASSWORD).json()
    assert (token["token_type"], token["expires_in"]) == ("bearer", 480 * 60)
    me = client.get("/auth/me", headers={"Authorization": f"Bearer {token['access_token']}"})
    assert me.json() == registered.json()


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
    assert answer.json()["detail"][0]["msg"] == f"Value error, a password needs {missing}"
    assert password not in answer.text


def test_failures_are_born_at_zero_and_counted_by_reason(client: httpx.Client, app: FastAPI) -> None:
    assert failures(client) == {"unknown_user": 0, "bad_password": 0, "inactive": 0}
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
    assert len({answer.text for answer in attempts}) == 1, "the answer must not tell which addresses exist"
    assert failures(client) == {"unknown_user": 2, "bad_password": 1, "inactive": 1}


def test_a_failed_login_only_selects(client: httpx.Client, app: FastAPI) -> None:
    register(client)
    statements: list[str] = []
    event.listen(app.state.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    attempt(client, "ada@example.com", "wrong")
    attempt(client, "nobody@example.com", "wrong")
    assert [statement.split()[0] for statement in statements] == ["SELECT", "SELECT"]


def token_of(claims: dict[str, object], key: str = DEVELOPMENT_SECRET) -> str:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    return jwt.encode({"sub": "1", "exp": in_an_hour, **claims}, key, "HS256")


@pytest.mark.parametrize(
    "token",
    [
        "garbage",
        token_of({}, "another-secret-another-secret-another"),
        token_of({"exp": datetime.now(UTC) - timedelta(seconds=1)}),
        token_of({"sub": "ada"}),
        token_of({"sub": "999"}),
        jwt.encode({"sub": "1"}, DEVELOPMENT_SECRET, "HS256"),
        jwt.encode({"sub": "1", "exp": datetime.now(UTC) + timedelta(hours=1)}, "", "none"),
    ],
    ids=["garbage", "foreign key", "expired", "no number", "no such user", "no expiry", "unsigned"],
)
def test_a_bad_token_is_refused(client: httpx.Client, token: str) -> None:
    register(client)
    answer = client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json() == {"detail": "Could not validate credentials"}


def test_a_deactivated_user_is_out_at_once(user: httpx.Client, app: FastAPI) -> None:
    assert user.get("/auth/me").status_code == 200
    with app.state.sessions.begin() as session:
        session.execute(update(User).values(is_active=False))
    assert user.get("/auth/me").status_code == 401


def test_tokens_live_as_long_as_the_settings_say() -> None:
    from app.security import make_token

    settings = Settings.load(jwt_expiration_minutes=5)
    claims = jwt.decode(make_token(7, settings), DEVELOPMENT_SECRET, ["HS256"])
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("7", 300)


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
    for secret in ("ada", "example.com", PASSWORD, "wrong-password-1", token, DEVELOPMENT_SECRET):
        assert secret not in caplog.text
