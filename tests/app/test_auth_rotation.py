"""A new JWT_SECRET_KEY logs nobody out, and the old one is good for no longer than it must be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from prometheus_client import CollectorRegistry

from app.main import create_app
from app.security import fingerprint, make_token, read_token
from app.settings import Settings
from tests.app.conftest import log_in, samples, served

OLD, NEW, FOREIGN = "old-" * 10, "new-" * 10, "foreign-" * 5

before = Settings.load(jwt_secret_key=OLD)
after = Settings.load(jwt_secret_key=NEW, jwt_secret_key_previous=OLD)


def signed(key: str, *, age: timedelta, lifetime: timedelta = timedelta(days=9)) -> str:
    issued = datetime.now(UTC) - age
    claims = {"sub": "7", "iat": issued, "exp": issued + lifetime, "jti": "a-token"}
    return jwt.encode(claims, key, "HS256", headers={"kid": fingerprint(key)})


def test_tokens_live_as_long_as_the_settings_say() -> None:
    token = make_token(7, Settings.load(jwt_secret_key=OLD, jwt_expiration_minutes=5))
    claims = jwt.decode(token, OLD, ["HS256"])
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("7", 300)
    assert before.jwt_expiration_minutes == 480


def test_every_token_has_a_name_of_its_own() -> None:
    assert len({jwt.decode(make_token(7, before), OLD, ["HS256"])["jti"] for _ in range(20)}) == 20


def test_the_header_names_the_key_and_does_not_show_it() -> None:
    kid = jwt.get_unverified_header(make_token(7, before))["kid"]
    assert kid == fingerprint(OLD) != fingerprint(NEW)
    assert OLD[:4] not in kid


def test_tokens_of_the_previous_key_stay_good() -> None:
    token = make_token(7, before)
    claims = read_token(token, after)
    assert claims is not None
    assert claims.user_id == 7
    assert read_token(token, Settings.load(jwt_secret_key=NEW)) is None, "without the previous key they don't"


def test_new_tokens_are_signed_with_the_new_key() -> None:
    assert read_token(make_token(7, after), Settings.load(jwt_secret_key=NEW)) is not None
    assert read_token(make_token(7, after), before) is None


@pytest.mark.parametrize("key", [OLD, NEW])
def test_no_key_signs_for_longer_than_one_lifetime(key: str) -> None:
    """Whatever the token itself says of its expiry."""
    assert read_token(signed(key, age=timedelta(minutes=479)), after) is not None
    assert read_token(signed(key, age=timedelta(minutes=481)), after) is None


def test_a_lost_key_signs_nothing_new_after_the_day_of_its_rotation() -> None:
    today = datetime.now(UTC).date()
    for days, good in ((0, True), (1, True), (3, False)):
        rotated = Settings.load(
            jwt_secret_key=NEW,
            jwt_secret_key_previous=OLD,
            jwt_secret_rotated_at=today - timedelta(days=days),
        )
        assert (read_token(signed(OLD, age=timedelta()), rotated) is not None) is good
        assert read_token(signed(NEW, age=timedelta()), rotated) is not None


def test_the_name_of_a_key_is_no_signature() -> None:
    claims = {
        "sub": "7",
        "iat": datetime.now(UTC),
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "jti": "a-token",
    }
    for kid in (fingerprint(OLD), fingerprint(NEW), "", None):
        forged = jwt.encode(claims, FOREIGN, "HS256", headers={"kid": kid} if kid is not None else None)
        assert read_token(forged, after) is None


def test_the_clocks_of_two_instances_may_differ_a_little() -> None:
    assert read_token(signed(NEW, age=timedelta(seconds=-20)), after) is not None
    assert read_token(signed(NEW, age=timedelta(seconds=-60)), after) is None


def test_a_rotation_logs_nobody_out(sqlite_url: str) -> None:
    """The same database, first under the old key and then under the new one; a logout holds in both."""
    first = create_app(Settings.load(jwt_secret_key=OLD, database_url=sqlite_url), CollectorRegistry())
    with served(first) as client:
        kept, left = log_in(client), log_in(client)
        client.post("/auth/logout", headers={"Authorization": f"Bearer {left}"}).raise_for_status()
    rotated = {
        "jwt_secret_key": NEW,
        "jwt_secret_key_previous": OLD,
        "jwt_secret_rotated_at": datetime.now(UTC).date(),
    }
    second = create_app(Settings.load(**rotated, database_url=sqlite_url), CollectorRegistry())
    with served(second) as client:
        assert status_of_me(client, kept) == 200
        assert status_of_me(client, left) == 401
        assert status_of_me(client, log_in(client)) == 200
        page = samples(client.get("/metrics").text)
        assert 0 <= page["auth_jwt_secret_age_seconds"] < 2 * 86400


def status_of_me(client: httpx.Client, token: str) -> int:
    return client.get("/auth/me", headers={"Authorization": f"Bearer {token}"}).status_code
