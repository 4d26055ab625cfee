"""TLS, certificates and plain HTTP, against servers that do them well and badly."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from monitor.gate.config import load_gate
from monitor.gate.model import Result
from monitor.gate.run import gate
from monitor.gate.sequential import Verdict
from monitor.objectives import load_objectives
from monitor.resources import resource
from tests.servers import free_port

CA = trustme.CA()
CONFIG = load_gate(resource("alerts", "gate.yml"), load_objectives(resource("alerts", "objectives.yml")), {})
PLAIN = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
MOVED = (
    "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://{host}/health\r\nContent-Length: 0\r\n"
    "Connection: close\r\n\r\n"
)


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(file))
    return str(file)


def context(days: float = 60, make: Callable[[ssl.SSLContext], None] | None = None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=days)).configure_cert(made)
    if make:
        make(made)
    return made


@asynccontextmanager
async def serving(answer: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            pass
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(say, "127.0.0.1", port, ssl=tls)
    try:
        yield port
    finally:
        server.close()


async def judged(ca_file: str, tls: ssl.SSLContext, plain: str = "") -> dict[str, Result]:
    """`plain`: what the port without TLS answers; "" for none."""
    async with AsyncExitStack() as servers:
        port = await servers.enter_async_context(serving(PLAIN, tls))
        answers = plain.format(host=f"127.0.0.1:{port}")
        other = await servers.enter_async_context(serving(answers)) if plain else free_port()
        config = replace(CONFIG, ca_file=ca_file, plain=f"http://127.0.0.1:{other}")
        profile = replace(config.profiles["post-deploy"], checks=("https", "tls", "certificate"))
        report = await gate(f"https://127.0.0.1:{port}", config, profile)
    return {each.check: each for each in report.results}


def verdicts(results: dict[str, Result]) -> list[Verdict | None]:
    return [results[name].verdict for name in ("https", "tls", "certificate")]


@pytest.mark.parametrize("plain", ["", MOVED])
async def test_good(ca_file: str, plain: str) -> None:
    assert verdicts(found := await judged(ca_file, context(), plain)) == [Verdict.PASS] * 3, found


async def test_the_same_without_tls(ca_file: str) -> None:
    found = await judged(ca_file, context(), PLAIN)
    assert found["https"].verdict is Verdict.FAIL
    assert "answers 200 without TLS" in found["https"].said


async def test_outdated_versions(ca_file: str) -> None:
    def old(made: ssl.SSLContext) -> None:
        made.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            made.minimum_version = ssl.TLSVersion.TLSv1

    found = await judged(ca_file, context(make=old))
    assert (found["tls"].verdict, found["tls"].said) == (Verdict.FAIL, "speaks TLSv1, TLSv1.1")


async def test_no_modern_version(ca_file: str) -> None:
    def old(made: ssl.SSLContext) -> None:
        made.maximum_version = ssl.TLSVersion.TLSv1_2

    found = await judged(ca_file, context(make=old))
    assert found["tls"].verdict is Verdict.FAIL
    assert "TLS 1.3 is not offered" in found["tls"].said


async def test_a_certificate_that_ends_soon(ca_file: str) -> None:
    found = await judged(ca_file, context(days=3))
    assert found["certificate"].verdict is Verdict.FAIL
    assert found["certificate"].said.startswith(("ends in 2 d 23 h", "ends in 3 d"))


async def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    found = await judged(str(other), context())
    assert found["reachable"].verdict is Verdict.INCONCLUSIVE
    assert "certificate" in found["reachable"].said


async def test_on_loopback_without_tls_it_says_that_it_did_not_look() -> None:
    async with serving(PLAIN) as port:
        profile = replace(CONFIG.profiles["post-deploy"], checks=("https", "tls", "metrics-private"))
        skipped = await gate(f"http://127.0.0.1:{port}", CONFIG, profile)
        asked = await gate(f"http://127.0.0.1:{port}", replace(CONFIG, edge="always"), profile)
    assert {each.verdict for each in skipped.results if each.check in profile.checks} == {None}
    assert skipped.exit() == 3
    assert {each.verdict for each in asked.results if each.check != "clean-up"} == {Verdict.FAIL}
