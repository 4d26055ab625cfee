"""Who may read and who may write, as seen from the peer's address and nothing that a client can choose."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from monitor.config import load_config
from monitor.web import create_web
from monitor.web.access import host_name
from monitor.web.credentials import TRIES, Attempts, Credentials, Locked
from monitor.webconfig import WebConfig
from monitor.yamlfile import ConfigError
from tests.web.scenes import HASHED, PASSWORD, TOKEN, healthy

HERE, ELSEWHERE = "127.0.0.1", "203.0.113.9"
ANN = ("ann", PASSWORD)
PATHS = (
    "/",
    "/api/v1/status",
    "/api/v1/openapi.json",
    "/metrics",
    "/-/healthy",
    "/runbooks/error-rate",
    "/thresholds",
)


@cache
def app_of(folder: Path, written: str) -> FastAPI:
    settings = WebConfig(**{"users": {"ann": HASHED}, "tokens": (TOKEN,), **json.loads(written)})
    return create_web(healthy(folder, settings).page)


def client(folder: Path, peer: str = HERE, host: str = "127.0.0.1:9464", **web: object) -> httpx.AsyncClient:
    app = app_of(folder, json.dumps(web))
    transport = httpx.ASGITransport(app, client=(peer, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


@pytest.mark.parametrize("path", PATHS)
async def test_reading_is_open_on_this_machine_alone(tmp_path: Path, path: str) -> None:
    for near in (HERE, "::1", "::ffff:127.0.0.1", "127.8.8.8"):
        assert (await client(tmp_path, near).get(path)).status_code == 200
    for far in (ELSEWHERE, "10.0.0.3", "2001:db8::1", "::ffff:203.0.113.9", "unknown"):
        answer = await client(tmp_path, far).get(path)
        assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)
        assert "api" not in answer.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
async def test_a_request_that_was_forwarded_is_not_from_here(tmp_path: Path, header: str) -> None:
    near = client(tmp_path)
    assert (await near.get("/", headers={header: "127.0.0.1"})).status_code == 401
    assert (await near.get("/", headers={header: "203.0.113.9"}, auth=ANN)).status_code == 200
    far = client(tmp_path, ELSEWHERE)
    assert (await far.get("/", headers={header: "127.0.0.1"})).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:9464", "", "[", "::1"]
)
async def test_a_name_that_a_stranger_chose_is_not_from_here(tmp_path: Path, host: str) -> None:
    assert (await client(tmp_path).get("/", headers={"host": host})).status_code == 401


async def test_the_names_of_the_page_itself_are_known(tmp_path: Path) -> None:
    for host in ("localhost:9464", "LOCALHOST", "[::1]:9464", "127.0.0.1", "monitor.internal:8443"):
        web = client(tmp_path, url="https://monitor.internal:8443")
        assert (await web.get("/", headers={"host": host})).status_code == 200, host
    assert host_name("[::1]:1") == "::1"


async def test_a_password_or_a_token_opens_the_page_from_elsewhere(tmp_path: Path) -> None:
    far = client(tmp_path, ELSEWHERE, "monitor.example")
    assert (await far.get("/", auth=ANN)).status_code == 200
    assert (await far.get("/", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200
    assert (await far.get("/", auth=("ann", "wrong"))).status_code == 401
    assert (await far.get("/", auth=("bob", PASSWORD))).status_code == 401
    for nonsense in ("Bearer wrong", "Basic !!!", "Basic", "Digest x", "", "Basic " + "A" * 100_000):
        assert (await far.get("/", headers={"authorization": nonsense})).status_code == 401


async def test_wrong_credentials_open_nothing_here_either(tmp_path: Path) -> None:
    assert (await client(tmp_path).get("/", auth=("ann", "wrong"))).status_code == 401


async def test_signing_in_always_asks(tmp_path: Path) -> None:
    assert (await client(tmp_path).get("/sign-in")).status_code == 401
    assert (await client(tmp_path).get("/sign-in", auth=ANN)).status_code == 303


async def test_without_anybody_who_could_sign_in_it_says_what_to_do(tmp_path: Path) -> None:
    answer = await client(tmp_path, ELSEWHERE, users={}, tokens=()).get("/", auth=("", ""))
    assert answer.status_code == 401
    assert "web.users" in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy"])
async def test_metrics_may_be_opened_to_all_and_nothing_else_with_them(tmp_path: Path, path: str) -> None:
    far = client(tmp_path, ELSEWHERE, "agent:9464", open_metrics=True)
    assert (await far.get(path)).status_code == 200
    assert [(await far.get(other)).status_code for other in ("/", "/status", "/api/v1/status")] == [401] * 3


async def test_guessing_is_stopped_and_those_who_know_go_on(tmp_path: Path) -> None:
    far = client(tmp_path, ELSEWHERE)
    assert (await far.get("/", auth=ANN)).status_code == 200
    for _ in range(TRIES):
        assert (await far.get("/", auth=("ann", "guess"))).status_code == 401
    locked = await far.get("/", auth=("ann", "another guess"))
    assert locked.status_code == 429
    assert 0 < int(locked.headers["retry-after"]) <= 300
    assert (await far.get("/", auth=ANN)).status_code == 200
    assert (await far.get("/", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200


def test_attempts_are_forgotten_in_time_and_bounded_in_number() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for _ in range(TRIES):
        attempts.failed("2001:db8::1")
    with pytest.raises(Locked):
        attempts.check("2001:db8::ffff")
    attempts.check("2001:db8:1::1")
    now = 301.0
    attempts.check("2001:db8::1")
    for number in range(3000):
        attempts.failed(f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._failed) == 1000


async def test_few_passwords_are_verified_at_once_and_off_the_event_loop() -> None:
    slow = PasswordHasher(time_cost=2, memory_cost=32_768).hash(PASSWORD)
    credentials = Credentials(WebConfig(users={"ann": slow}), lambda: 0.0)
    header = httpx.BasicAuth("ann", PASSWORD)._auth_header
    asked = [asyncio.create_task(credentials.name(header, f"10.0.0.{n}")) for n in range(12)]
    late = 0.0
    while not all(task.done() for task in asked):
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.001)
        late = max(late, asyncio.get_running_loop().time() - began)
    said = [task.exception() or task.result() for task in asked]
    assert said.count("ann") == 4
    assert sum(type(each).__name__ == "Busy" for each in said) == 8
    assert await credentials.name(header, "10.0.0.99") == "ann"


async def test_every_answer_is_hardened(tmp_path: Path) -> None:
    for web in (client(tmp_path), client(tmp_path, ELSEWHERE)):
        for path in (*PATHS, "/nothing-here", "/static/page.js"):
            headers = (await web.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("users: {ann: hunter2}", "web.users.ann: expected an argon2 hash; make one with"),
        ("users: {ann: '$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2g'}", "at most 256 MiB"),
        ("tokens: [short]", "web.tokens[0]: expected at least 16"),
        ("usres: {}", "web.usres: unknown key; did you mean 'users'?"),
        ("public_status: maybe", "web.public_status: expected true or false"),
        ("url: monitor.example", "web.url: expected a URL"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path: Path, written: str, said: str) -> None:
    path = tmp_path / "monitor.yml"
    target = "{name: api, url: 'http://127.0.0.1:1', checks: {health: {probe: http}}}"
    path.write_text(f"targets: [{target}]\nweb: {{{written}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "short" not in str(caught.value)


async def test_who_is_known_stays_known_and_whose_password_changed_is_not(tmp_path: Path) -> None:
    """While the agent runs: the configuration in force counts, for each request."""
    made = healthy(tmp_path, WebConfig(users={"ann": HASHED, "bob": HASHED}, tokens=(TOKEN,)))
    transport = httpx.ASGITransport(create_web(made.page), client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.example") as client:

        async def status(name: str, password: str = PASSWORD) -> int:
            return (await client.get("/", auth=(name, password))).status_code

        assert [await status(name) for name in ("ann", "bob")] == [200, 200]
        other = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("another")
        web = WebConfig(users={"ann": HASHED, "bob": other})
        made.page.cycle.config = replace(made.page.config, web=web)
        assert [await status(name) for name in ("ann", "bob")] == [200, 401]
        assert await status("bob", "another") == 200
        assert await status("anybody", TOKEN) == 401
        made.page.cycle.config = replace(made.page.config, web=WebConfig(users={"bob": other}))
        assert await status("ann") == 401
