"""Tokens that are refused: what they say of themselves, and what the API says to them."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest

from monitor.doctor.examine import examine
from monitor.doctor.tokens import NoTokenError, read
from monitor.doctor.visit import Patient
from tests.doctor.serving import (
    CONFIG,
    EIGHT_HOURS,
    SECRET,
    Api,
    Asked,
    Findings,
    commands,
    said,
    seen_of,
    serving,
    token,
)

OTHER = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"
ACCOUNT = {"email": "ann@example.com", "password": "correct horse 1 battery"}


async def test_health() -> None:
    found = await seen_of(Api(), token=token(), **ACCOUNT)
    assert found.names == []
    assert {"token-garbled", "token-expired", "token-lifetime", "log-in", "fresh-token"} <= found.fine.keys()
    assert {"token-refused", "secrets-differ", "clock", "clock-signer"} <= found.fine.keys()
    assert found.report.requests <= 60


async def test_nothing_is_registered_unless_told_and_the_cure_says_why() -> None:
    api = Api()
    found = await seen_of(api)
    assert not [each for each in api.asked if each.method == "POST"]
    assert "writes one into the database" in found.not_looked["fresh-token"].allow
    assert "GATE_TOKEN" in found.not_looked["token-expired"].allow


async def test_it_has_expired() -> None:
    trouble = (await seen_of(Api(), token=token(age=EIGHT_HOURS + 3600))).only("token-expired")
    assert trouble.saw[0].endswith("which is 1 h ago, after a life of 8 h")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (f"Bearer {token()}", "The word Bearer is part of it"),
        (f'"{token()}"', "Quotes or space are part of it"),
        (token()[:60], "It was cut off"),
        ("undefined", "It was cut off"),
        ("a.b.c", "It was cut off"),
        ("\x1b[31m.\x00.\xff", "It was cut off"),
        ("x" * 100_000, "It was cut off"),
        (f"{urlsafe_b64encode(b'[' * 6000).decode()}.e30.x", "It was cut off"),
    ],
)
async def test_it_is_no_token(text: str, cause: str) -> None:
    trouble = (await seen_of(Api(), token=text)).only("token-garbled")
    assert trouble.cause.startswith(cause)
    assert text not in "".join(trouble.saw)


def forged(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, claims))
    return f"{'.'.join(parts)}.AAAA"


@pytest.mark.parametrize(
    "odd", [None, True, "soon", -1, 1e300, float("nan"), float("inf"), 10**400, [], {}, 1_764_000_000_000]
)
def test_moments_that_are_none(odd: object) -> None:
    found = read(forged({"alg": "HS256"}, {"exp": odd, "iat": 5}))
    assert found.moment("exp") is None
    assert found.lifetime is None


@pytest.mark.parametrize("part", ["", "e30", "bnVsbA", "W10", "===", "ÄÖ", "e30=e30"])
def test_parts_that_are_no_objects_or_no_base64(part: str) -> None:
    if part == "e30":
        assert read(f"{part}.{part}.").header == {}
        return
    with pytest.raises(NoTokenError):
        read(f"{part}.{part}.x")


async def test_it_is_not_good_yet() -> None:
    trouble = (await seen_of(Api(), token=token(nbf=2_000_000_000))).troubles["token-not-yet"]
    assert trouble.saw[0].startswith("nbf: 2033-05-18 03:33:20 UTC, in ")


async def test_it_is_signed_otherwise() -> None:
    text = forged({"alg": "RS256"}, jwt.decode(token(), options={"verify_signature": False}))
    found = await seen_of(Api(), token=text)
    assert "alg: RS256" in found.troubles["token-algorithm"].saw[0]


@pytest.mark.parametrize(("life", "how"), [(86400, "longer"), (900, "shorter")])
async def test_it_lives_otherwise_than_documented(life: float, how: str) -> None:
    trouble = (await seen_of(Api(), token=token(life=life))).only("token-lifetime")
    assert f"live {how} than" in trouble.cause
    assert commands(trouble) == "JWT_EXPIRATION_MINUTES=480"


async def test_it_never_expires() -> None:
    text = jwt.encode({"sub": "1", "iat": 1}, SECRET, "HS256")
    assert (await seen_of(Api(), token=text)).names == ["token-lifetime"]


async def test_another_secret_signed_it_and_nothing_more_is_known() -> None:
    trouble = (await seen_of(Api(), token=token(OTHER))).only("token-refused")
    assert trouble.saw == ("12 times GET /auth/me: 401",)
    assert "GATE_EMAIL" in trouble.cause


def keyed(secret: str, kid: str) -> str:
    claims = jwt.decode(token(age=0), options={"verify_signature": False})
    return jwt.encode(claims, secret, "HS256", {"kid": kid})


async def with_keys(given: str) -> Findings:
    """Of an API whose key is called `now`."""
    answer = {"access_token": keyed(SECRET, "now")}
    return await seen_of(Api(paths={"/auth/login": lambda _: said(200, answer)}), token=given, **ACCOUNT)


async def test_it_is_of_another_environment() -> None:
    trouble = (await with_keys(keyed(OTHER, "then"))).only("token-refused")
    assert trouble.saw[1] == "its key is then, a fresh token's now"
    assert "another secret than the API has now" in trouble.cause


async def test_it_was_tampered_with_or_its_user_logged_out() -> None:
    trouble = (await with_keys(keyed(OTHER, "now"))).only("token-refused")
    assert "somebody changed it" in trouble.cause


async def test_a_fresh_token_is_refused() -> None:
    api = Api(paths={"/auth/me": lambda _: said(401, {}, [("Server", "nginx")])})
    trouble = (await seen_of(api, origin="", token=token(), **ACCOUNT)).only("fresh-token")
    assert "a proxy takes the Authorization header away" in trouble.cause
    assert "12 times GET /auth/me: 401, Server: nginx" in trouble.saw[0]


@pytest.mark.parametrize("given", [{"token": token()}, ACCOUNT])
async def test_instances_have_different_secrets(given: dict[str, str]) -> None:
    """Two behind one address, asked by turns."""
    instances = itertools.cycle([Api(), Api(secret=OTHER)])
    found = await seen_of(lambda asked: next(instances)(asked), **given)
    trouble = found.only("secrets-differ")
    assert trouble.saw[0] == "GET /auth/me with one token, 12 fresh connections: 200: 6, 401: 6"
    assert "sha256sum" in commands(trouble)


@pytest.mark.parametrize(
    ("status", "cause"), [(401, "locked after too many"), (422, "another form"), (404, "There is no POST")]
)
async def test_the_log_in_is_refused(status: int, cause: str) -> None:
    api = Api(paths={"/auth/login": lambda _: said(status, {})})
    assert cause in (await seen_of(api, **ACCOUNT)).only("log-in").cause


async def test_a_log_in_that_says_nothing_is_not_looked_at() -> None:
    api = Api(paths={"/auth/login": lambda _: said(500, {})})
    found = await seen_of(api, **ACCOUNT)
    assert found.names == []
    assert "POST /auth/login: 500" in found.not_looked["log-in"].why


# Half a minute more than what is expected: a busy machine hears late what time it was.
@pytest.mark.parametrize(("ahead", "said"), [(-330, r"5 min \d+ s behind"), (7230, r"2 h \d+ s ahead of")])
async def test_clocks_differ(ahead: float, said: str) -> None:
    trouble = (await seen_of(Api(clock=ahead))).only("clock")
    assert re.search(said, trouble.saw[0])


async def test_an_answer_out_of_a_cache_is_as_old_as_it_says() -> None:
    old = said(200, {"status": "healthy"}, [("Age", "600")], date=time.time() - 600)
    found = await seen_of(Api(paths={"GET /health": lambda _: old}))
    assert found.fine["clock"] == "this machine's clock and the server's agree"


async def test_clocks_of_instances_differ() -> None:
    instances = itertools.cycle([Api(), Api(clock=150)])
    found = await seen_of(lambda asked: next(instances)(asked))
    assert re.search(r"2 min \d+ s apart", found.only("clock-instances").cause)


async def test_whoever_signs_has_another_time() -> None:
    answer = {"access_token": token(age=630)}
    api = Api(paths={"/auth/login": lambda _: said(200, answer)})
    saw = (await seen_of(api, **ACCOUNT)).only("clock-signer").saw[0]
    assert re.search(r"10 min \d+ s behind this machine's clock", saw)


async def test_an_answer_without_a_date() -> None:
    def undated(asked: Asked) -> bytes:
        reply = api.reply(asked)
        return b"\r\n".join(line for line in reply.split(b"\r\n") if not line.startswith(b"Date"))

    api = Api()
    assert (await seen_of(undated)).not_looked["clock"].why == "the answers have no Date"


async def test_an_account_is_deleted_also_when_the_doctor_is_stopped() -> None:
    stopped, deleted = asyncio.Event(), list[str]()

    async def me(_: Asked) -> bytes:
        """As the doctor tries its token; by then there is an account."""
        stopped.set()
        await asyncio.sleep(30)
        return said(200)

    def delete(asked: Asked) -> bytes:
        deleted.append(asked.path)
        return said(204)

    api = Api(
        paths={"/auth/register": lambda _: said(201, {"id": 1}), "/auth/me": me, "/auth/delete": delete}
    )
    async with serving(api) as (target, _):
        examined = asyncio.create_task(examine(Patient(target, CONFIG, register=True)))
        await stopped.wait()
        examined.cancel()
        report = await examined
    assert (report.interrupted, report.left_behind, report.exit()) == (True, "", 130)
    assert deleted == ["/auth/delete"]


async def test_an_account_that_stays_is_told() -> None:
    paths = {"/auth/register": lambda _: said(201, {"id": 1}), "/auth/delete": lambda _: said(403, {})}
    found = await seen_of(Api(paths=paths), register=True)
    assert found.report.left_behind.endswith("@example.com (POST /auth/delete: 403)")
    assert found.report.exit() == 5
