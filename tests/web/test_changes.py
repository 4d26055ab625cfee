"""Silencing and acknowledging: only with a name, and only from a page of ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from monitor.alerting import Key
from tests.web.asking import ANN, ORIGIN, anonymous, browser, token_of
from tests.web.scenes import NOW, PASSWORD, TOKEN, World, incident

ERROR_RATE = Key("error-rate", "api", "metrics")
SILENCE = {
    "target": "api",
    "name": "error-rate",
    "lasts": "1h",
    "reason": "deploying",
    "back": "/targets/api",
}


def dedup_key(made: World) -> str:
    return made.page.cycle.dispatch.conversations[ERROR_RATE].dedup_key


async def send(
    web: httpx.AsyncClient, path: str, fields: dict[str, str], origin: str | None = ORIGIN
) -> httpx.Response:
    token = token_of((await web.get("/targets/api")).text)
    headers = {} if origin is None else {"origin": origin}
    return await web.post(path, data={"token": token, **fields}, headers=headers)


async def test_a_silence_from_the_page(tmp_path: Path) -> None:
    made = incident(tmp_path)
    web = browser(made)
    answer = await send(web, "/silences", SILENCE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/targets/api?done=silenced")
    [silence] = made.quiet.silences(NOW)
    assert (silence.author, silence.reason, silence.ends_at) == ("ann", "deploying", NOW + 3600)
    page = (await web.get(answer.headers["location"])).text
    assert "Silenced. Measuring goes on" in page
    assert "Nobody is told" in page
    assert "silenced by ann until" in page
    ended = await send(web, f"/silences/{silence.id}/end", {})
    assert ended.headers["location"] == "/?done=ended"
    assert made.quiet.silences(NOW) == []


async def test_an_acknowledgement_from_the_page_and_back(tmp_path: Path) -> None:
    made = incident(tmp_path)
    web, key = browser(made), dedup_key(made)
    answer = await send(web, f"/alerts/{key}/acknowledge", {"reason": "on it", "back": "/"})
    assert answer.headers["location"] == "/?done=acknowledged"
    found = made.quiet.acknowledged(key, NOW)
    assert found
    assert (found.author, found.reason, found.until) == ("ann", "on it", None)
    assert "ann looks after it: on it" in (await web.get("/")).text
    await send(web, f"/alerts/{key}/take-back", {})
    assert made.quiet.acknowledged(key, NOW) is None


async def test_a_mistake_keeps_what_was_written(tmp_path: Path) -> None:
    made = incident(tmp_path)
    wrong = {**SILENCE, "reason": " ", "lasts": "4h", "target": 'api" onload="x'}
    answer = await send(browser(made), "/silences", wrong)
    assert answer.status_code == 422
    assert "Not done yet" in answer.text
    assert 'value="api&#34; onload=&#34;x"' in answer.text
    assert '<option value="4h" selected>' in answer.text
    assert made.quiet.silences(NOW) == []


@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.9"])
async def test_nobody_changes_anything_without_a_name(tmp_path: Path, peer: str) -> None:
    made = incident(tmp_path)
    for path in (
        "/silences",
        f"/alerts/{dedup_key(made)}/acknowledge",
        "/api/v1/silences",
        "/api/v1/status",
        "/",
    ):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = await anonymous(made, peer).request(method, path, data=SILENCE)
            assert answer.status_code == 401, (method, path)
    assert made.quiet.silences(NOW) == []


async def test_there_is_no_form_for_those_without_a_name(tmp_path: Path) -> None:
    page = (await anonymous(incident(tmp_path)).get("/")).text
    assert "<form" not in page
    assert "Sign in to acknowledge or silence" in page


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9464.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": ORIGIN},
    ],
)
async def test_another_sites_page_changes_nothing_even_with_a_token(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    made = incident(tmp_path)
    web = browser(made)
    token = token_of((await web.get("/targets/api")).text)
    answer = await web.post("/silences", data={**SILENCE, "token": token}, headers=headers)
    assert answer.status_code == 403
    body = {"target": "api", "lasts": "1h", "reason": "x"}
    assert (await web.post("/api/v1/silences", json=body, headers=headers)).status_code == 403
    assert made.quiet.silences(NOW) == []


async def test_a_form_without_its_token_is_shown_again(tmp_path: Path) -> None:
    made = incident(tmp_path)
    web = browser(made)
    old = token_of((await web.get("/targets/api")).text)
    bobs = token_of((await browser(made, auth=("x", TOKEN)).get("/targets/api")).text)
    for token in ("", "0" * 64, "é", bobs):
        answer = await web.post("/silences", data={**SILENCE, "token": token}, headers={"origin": ORIGIN})
        assert answer.status_code == 422
        assert "too old" in answer.text
    made.now += 25 * 3600
    again = await web.post("/silences", data={**SILENCE, "token": old}, headers={"origin": ORIGIN})
    assert again.status_code == 422
    fresh = {**SILENCE, "token": token_of(again.text)}
    assert (await web.post("/silences", data=fresh, headers={"origin": ORIGIN})).status_code == 303


async def test_behind_a_proxy_the_pages_own_address_is_no_stranger(tmp_path: Path) -> None:
    from monitor.webconfig import WebConfig
    from tests.web.scenes import HASHED

    made = incident(tmp_path, WebConfig(url="https://monitor.example", users={"ann": HASHED}))
    assert (await send(browser(made), "/silences", SILENCE, "https://monitor.example")).status_code == 303


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "/a\nb"])
async def test_no_form_leads_elsewhere(tmp_path: Path, back: str) -> None:
    made = incident(tmp_path)
    answer = await send(browser(made), "/silences", {**SILENCE, "back": back})
    assert answer.headers["location"] == "/?done=silenced"
    signed = await browser(made).get("/sign-in", params={"back": back})
    assert signed.headers["location"] == "/"


async def test_a_form_is_bounded(tmp_path: Path) -> None:
    web = browser(incident(tmp_path))
    huge = await web.post("/silences", content=b"x" * 100_000)
    many = await web.post("/silences", data={f"f{number}": "x" for number in range(100)})
    assert (huge.status_code, many.status_code) == (413, 400)
    assert (await web.post("/silences", content=b"\xff\xfe")).status_code == 400


async def test_silences_and_acknowledgements_in_json(tmp_path: Path) -> None:
    made = incident(tmp_path)
    api = browser(made, "203.0.113.9", None)
    api.headers["authorization"] = f"Bearer {TOKEN}"
    asked = {"target": "a*", "lasts": "30m", "reason": "deploy", "author": "pipeline"}
    silence = await api.post("/api/v1/silences", json=asked)
    assert silence.status_code == 201
    assert silence.json()["author"] == "pipeline"
    assert [each["target"] for each in (await api.get("/api/v1/silences")).json()] == ["a*"]
    number = silence.json()["id"]
    ends = [
        (await api.request("DELETE", f"/api/v1/silences/{number}", json={})).status_code for _ in range(2)
    ]
    assert ends == [204, 404]
    path = f"/api/v1/alerts/{dedup_key(made)}/acknowledgement"
    assert (await api.put(path, json={"reason": "on it", "lasts": "2h"})).json()["until"] == NOW + 7200
    status = (await api.get("/api/v1/status")).json()
    [error_rate] = [each for each in status["alerts"] if each["name"] == "error-rate"]
    assert (error_rate["dedup_key"], error_rate["acknowledged_by"]) == (dedup_key(made), "token")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"lasts": "1h", "reason": "x"}, 422, "target"),
        ({"target": "api", "lasts": "soon", "reason": "x"}, 422, "expected a duration"),
        ({"target": "api", "lasts": "400d", "reason": "x"}, 422, "at most 30 d"),
        ({"target": "api", "lasts": "1h", "reason": ""}, 422, "reason"),
        ({"target": "api", "lasts": "1h", "reason": "x", "until": 5}, 422, "until"),
        ({"target": "nobody", "lasts": "1h", "reason": "x"}, 422, "no target 'nobody'"),
        ({"target": "api", "lasts": "1h", "reason": "a\nb"}, 422, "printable"),
    ],
)
async def test_mistakes_in_json(tmp_path: Path, body: dict[str, object], status: int, said: str) -> None:
    made = incident(tmp_path)
    answer = await browser(made).post("/api/v1/silences", json=body)
    assert answer.status_code == status
    assert said in answer.text
    assert made.quiet.silences(NOW) == []


async def test_json_must_say_that_it_is(tmp_path: Path) -> None:
    """A form of another site can send JSON as text; not under its own name."""
    body = '{"target": "api", "lasts": "1h", "reason": "x"}'
    answer = await browser(incident(tmp_path)).post(
        "/api/v1/silences", content=body, headers={"content-type": "text/plain"}
    )
    assert answer.status_code in (415, 422)


async def test_what_is_over_cannot_be_acknowledged(tmp_path: Path) -> None:
    web = browser(incident(tmp_path))
    answer = await web.put("/api/v1/alerts/0123/acknowledgement", json={"reason": "x"})
    assert answer.status_code == 422
    assert "over already" in answer.text


async def test_while_the_store_is_away_it_says_that_nothing_was_done(tmp_path: Path) -> None:
    made = incident(tmp_path)
    web = browser(made)
    token = token_of((await web.get("/targets/api")).text)
    made.history.engine.dispose()
    (tmp_path / "agent.db").rename(tmp_path / "gone.db")
    (tmp_path / "agent.db").mkdir()
    answer = await web.post("/silences", data={**SILENCE, "token": token}, headers={"origin": ORIGIN})
    assert answer.status_code == 503
    assert "Not done: the store refused" in answer.text
    assert (await web.get("/")).status_code == 200


async def test_reading_goes_on_beside_a_flood_of_changes(tmp_path: Path) -> None:
    made = incident(tmp_path)
    web = browser(made)
    await web.get("/", auth=("ann", PASSWORD))
    body = {"target": "api", "lasts": "1h", "reason": "x"}
    answers = await asyncio.gather(*(web.post("/api/v1/silences", json=body, auth=ANN) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert (await web.get("/")).status_code == 200
