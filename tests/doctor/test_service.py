"""Who answers in place of the API, or spoils what it says."""

from __future__ import annotations

import asyncio
import itertools
import json
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from monitor.doctor import examine, facts, visit
from monitor.doctor.visit import MOST_REQUESTS
from tests.doctor.serving import (
    CONFIG,
    ORIGIN,
    Api,
    Asked,
    Findings,
    commands,
    said,
    seen,
    seen_of,
    serving,
    token,
)

PAGE = b"<!doctype html><title>Paciolus</title>"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "PAUSE", 0.01)


def answering(answer: bytes) -> Api:
    return Api(paths={"*": lambda _: answer})


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (said(502, PAGE, [("Server", "cloudflare")]), "gateway", "The proxy reaches nobody behind it"),
        (said(503, b"", [("Retry-After", "30")]), "gateway", "The platform has no instance"),
        (said(504), "gateway", "waited for an answer and gave up"),
        (said(500, {}), "server-error", "The API itself fails"),
        (said(521), "server-error", "Cloudflare's word"),
        (said(401, b"", [("WWW-Authenticate", "Basic")]), "kept-out", "basic authentication"),
        (said(403, PAGE), "kept-out", "a firewall that does not like"),
        (said(404, {}), "wrong-path", "knows no /health"),
        (said(200, PAGE), "wrong-service", "A web page answers"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "wrong-service",
            "Something answers that is not the API",
        ),
        (said(200, ["ok"]), "wrong-service", "Something answers that is not the API"),
        (said(429, b"", [("Retry-After", "7")]), "rate-limited", "A proxy or firewall limits"),
    ],
)
async def test_something_else_answers(answer: bytes, kind: str, cause: str) -> None:
    found = await seen_of(answering(answer))
    trouble = found.only(kind)
    assert cause in trouble.cause
    assert found.report.exit() == 1
    assert "the API in good health" in found.not_looked["cors-slash"].why


async def test_what_stands_in_front_is_named() -> None:
    trouble = (await seen_of(answering(said(502, PAGE, [("Server", "cloudflare"), ("CF-Ray", "8a1")])))).only(
        "gateway"
    )
    assert trouble.saw == ("GET /health: 502, Server: cloudflare, CF-Ray: 8a1",)


@pytest.mark.parametrize(("given", "there"), [("", "/api"), ("/api", ""), ("/api", "/v1")])
async def test_the_base_path_is_another(given: str, there: str) -> None:
    good = said(200, {"status": "healthy"})
    api = Api(paths={f"{there}/health": lambda _: good, "*": lambda _: said(404)})
    async with serving(api) as (target, _):
        found = await seen(f"{target}{given}")
    assert commands(found.only("wrong-path")) == f"NEXT_PUBLIC_API_URL={target}{there}"


async def test_it_was_asleep_behind_a_page_of_the_platform() -> None:
    pages = itertools.chain([said(200, PAGE)], itertools.repeat(said(200, {"status": "healthy"})))
    trouble = (await seen_of(Api(paths={"GET /health": lambda _: next(pages)}))).only("asleep")
    assert "a free plan stops an instance" in trouble.cause


async def test_it_was_asleep_and_let_the_first_one_wait() -> None:
    asked = itertools.count()

    async def waking(_: Asked) -> bytes:
        await asyncio.sleep(2.1 if next(asked) == 0 else 0)
        return said(200, {"status": "healthy"})

    assert "the first after 2." in (await seen_of(Api(paths={"GET /health": waking}))).only("asleep").saw[1]


async def test_it_is_slow() -> None:
    async def slow(_: Asked) -> bytes:
        await asyncio.sleep(0.25)
        return said(200, {"status": "healthy"})

    trouble = (await seen_of(Api(paths={"GET /health": slow}))).only("slow")
    assert "waiting for the first byte" in trouble.cause
    assert commands(trouble) == "docs/runbooks/health-latency.md"


async def test_one_of_two_instances_is_down() -> None:
    instances = itertools.cycle([said(200, {"status": "healthy"}), said(502)])
    trouble = (await seen_of(Api(paths={"GET /health": lambda _: next(instances)}))).only("unsteady")
    assert trouble.saw == ("4 of 8 times GET /health: 502",)


async def test_two_releases_answer() -> None:
    instances = itertools.cycle(
        [said(200, {"status": "healthy", "version": each}) for each in ("1.0", "1.1")]
    )
    trouble = (await seen_of(Api(paths={"GET /health": lambda _: next(instances)}))).only("versions")
    assert trouble.saw == ("version 1.0: 4 times, version 1.1: 4 times",)


async def test_log_ins_are_throttled() -> None:
    api = Api(paths={"/auth/login": lambda _: said(429, {}, [("Retry-After", "3")])})
    trouble = (await seen_of(api, email="ann@example.com", password="x")).only("rate-limited")
    assert trouble.cure[0].said == "Wait 3 seconds, and ask again."


async def on_an_edge(api: Api, plain: Api | None = None) -> Findings:
    """As of a target that strangers see, whose plain http is there."""
    async with serving(api) as (target, _), serving(plain or answering(said(404))) as (other, _):
        return await seen(target, config=replace(CONFIG, edge="always", plain=other))


async def test_the_documentation_is_open() -> None:
    found = await on_an_edge(
        Api(paths={"/docs": lambda _: said(200, PAGE), "/openapi.json": lambda _: said(200, {})})
    )
    assert found.names == ["plain-http", "docs-open"]
    assert commands(found.troubles["docs-open"]) == "ENV_MODE=production"


async def test_it_is_asked_without_tls() -> None:
    assert (await on_an_edge(Api())).only("plain-http").saw[0].startswith("the target is http://")


def moved(where: str) -> bytes:
    return said(308, b"", [("Location", where)])


async def test_the_api_is_at_another_address() -> None:
    async with serving() as (there, _):
        trouble = (await seen_of(answering(moved(f"{there}/health")))).only("redirect")
    assert commands(trouble) == f"NEXT_PUBLIC_API_URL={there}"


async def test_what_a_server_says_is_quoted_where_people_copy_it() -> None:
    where = "/;touch${IFS}x;$(id)"
    good = said(200, {"status": "healthy"})
    api = Api(paths={"/health": lambda _: moved(f"{where}/health"), "*": lambda _: good})
    command = commands((await seen_of(api)).only("redirect"))
    assert shlex.split(command)[0].startswith("NEXT_PUBLIC_API_URL=http://127.0.0.1:")
    assert len(shlex.split(command)) == 1


@pytest.mark.parametrize("where", ["https://login.invalid/", "mailto:a@b", "http://[", "/login"])
async def test_it_leads_away_from_the_api(where: str) -> None:
    api = Api(paths={"/health": lambda _: moved(where), "/login": lambda _: said(200, PAGE)})
    assert "leads away from the API" in (await seen_of(api)).only("redirect").cause


FURTHER = itertools.count()


@pytest.mark.parametrize(
    "where",
    [
        lambda _: "/health",
        lambda asked: "/other" if asked.path == "/health" else "/health",
        lambda _: f"/{next(FURTHER)}",
    ],
    ids=["to itself", "to and fro", "ever further"],
)
async def test_redirects_that_never_end(where: Callable[[Asked], str]) -> None:
    found = await seen_of(Api(paths={"*": lambda asked: moved(where(asked))}))
    found.only("redirect-loop")
    assert found.report.requests < 10


async def endless(_: Asked) -> bytes:
    await asyncio.sleep(60)
    return b""


NOT_HTTP = b"SSH-2.0-OpenSSH_9.2p1\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        NOT_HTTP,
        bytes(range(256)) * 64,
        said(200, b"x" * 2_000_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nX-Much: " + b"x" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=["ssh", "garbage", "large", "half", "header"],
)
async def test_an_answer_that_cannot_be_read(answer: bytes) -> None:
    found = await seen_of(answering(answer))
    found.only("broken-answer")
    assert found.report.exit() in (1, 4)


async def test_a_doctor_who_is_lied_to_everywhere() -> None:
    """Good on /health; elsewhere whatever breaks careless code. Nothing is broken but the patient."""
    deep = b"[" * 100_000
    lies = itertools.cycle(
        [
            said(200, deep),
            said(200, {"access_token": {"no": "text"}, "reason": ["x"], "version": 1}),
            said(
                200, {"access_token": "\x00.\x1b.\ud83d".encode("utf-16", "surrogatepass").decode("latin-1")}
            ),
            said(999, b"\xff" * 1000),
            said(503, {"reason": "\x1b[2J" + "x" * 100_000}),
            b"",
            NOT_HTTP,
            said(
                200,
                json.dumps({"access_token": "a.b.c"}).encode(),
                [("Date", "never"), ("Location", "x" * 9000)],
            ),
            said(200, b"", [("Access-Control-Allow-Origin", "\x1b[31m" + ORIGIN)] * 50),
        ]
    )
    good = Api()
    api = Api(paths={"*": lambda asked: good.reply(asked) if asked.path == "/health" else next(lies)})
    for _ in range(9):
        next(lies)
        found = await seen_of(api, email="ann@example.com", password="x", token="x.y.z", register=False)
        assert not any(each.broken for each in found.report.seen), found.report.seen
        assert found.report.requests <= MOST_REQUESTS
        assert "\x1b" not in "".join(line for each in found.troubles.values() for line in each.saw)


async def test_a_doctor_whose_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "WHOLE", 1.0)
    monkeypatch.setattr(examine, "LOOK", 0.4)
    good = Api()

    async def silent(asked: Asked) -> bytes:
        return (
            good.reply(asked) if asked.path == "/health" and asked.method == "GET" else await endless(asked)
        )

    found = await seen_of(Api(paths={"*": silent}), token="x.y.z")
    whys = {each.why for each in found.not_looked.values()}
    assert "not known within 0 s" in whys or "the 1 s of a visit are over" in whys
    assert found.report.ended - found.report.began < 4


async def test_what_is_never_answered_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "TIMEOUT", 0.2)
    trouble = (await seen_of(Api(paths={"/health/ready": endless}))).only("unanswered")
    assert trouble.saw == ("GET /health/ready: no answer within 0.2 s, while waiting for the first byte",)


@pytest.mark.nightly
@pytest.mark.parametrize("first", ["/health", "nothing"])
async def test_a_minute_is_the_most_that_it_takes(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """Whatever does not answer: all but /health, or all; and a database that accepts and is silent."""
    monkeypatch.undo()
    good = Api()

    async def silent(asked: Asked) -> bytes:
        if asked.method == "GET" and asked.path == first:
            return good.reply(asked)
        return await endless(asked)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        database = f"postgresql://app:x@127.0.0.1:{listener.getsockname()[1]}/paciolus"
        began = time.monotonic()
        found = await seen_of(Api(paths={"*": silent}), token=token(), register=True, database=database)
    assert time.monotonic() - began < 62
    assert found.names == (["tried", "unanswered"] if first == "/health" else ["hangs", "tried"])
    assert found.report.exit() == (1 if first == "/health" else 4)
