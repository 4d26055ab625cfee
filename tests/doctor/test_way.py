"""Targets that cannot be reached, and why: exit status 4, with the cause said."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from monitor.doctor import facts
from monitor.doctor.dialling import Dialled, Line
from monitor.doctor.kinds import way
from monitor.doctor.model import Trouble
from tests.doctor.serving import CONFIG, Api, Asked, Findings, commands, said, seen, serving
from tests.servers import free_port

CA = trustme.CA()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "FIRST_TIMEOUT", 0.3)
    monkeypatch.setattr(facts, "WAKING_TIMEOUT", 0.6)
    monkeypatch.setattr(facts, "PAUSE", 0.01)


def unreachable(found: Findings, kind: str) -> Trouble:
    assert found.report.exit() == 4
    return found.only(kind)


async def test_nothing_listens() -> None:
    port = free_port()
    trouble = unreachable(await seen(f"http://127.0.0.1:{port}"), "refused")
    assert trouble.saw == (f"127.0.0.1 port {port}: connection refused",)


async def test_there_is_no_such_name() -> None:
    trouble = unreachable(await seen("https://api.paciolus.invalid"), "dns")
    assert commands(trouble).startswith("dig +short api.paciolus.invalid")


@pytest.mark.parametrize("line", [Line.SILENT, Line.NO_ROUTE])
async def test_the_connection_is_swallowed(monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    """A firewall can't be had here: what a dial comes to is said, the rest is real."""

    async def dial(host: str, port: int) -> Dialled:
        return Dialled(line, host)

    monkeypatch.setattr(way, "dial", dial)
    trouble = unreachable(await seen(f"http://127.0.0.1:{free_port()}"), "firewall")
    assert trouble.saw[0].endswith(line)


@asynccontextmanager
async def listening(then: Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[str]:
    """Accepts connections, and does that."""
    port, writers = free_port(), list[asyncio.StreamWriter]()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        then(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()


async def test_the_connection_is_closed_at_once() -> None:
    async with listening(lambda writer: writer.close()) as target:
        trouble = unreachable(await seen(target), "cut-off")
        assert f"curl -sv https{target[4:]}/health" in commands(trouble)


async def test_it_hangs() -> None:
    async with listening(lambda _: None) as target:
        trouble = unreachable(await seen(target), "hangs")
        assert len(trouble.saw) == 2


async def test_it_hangs_under_tls() -> None:
    async with listening(lambda _: None) as target:
        unreachable(await seen(f"https{target[4:]}"), "hangs")


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(file))
    return str(file)


def certified(name: str = "127.0.0.1", days: float = 60) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    issued = CA.issue_cert(name, not_before=now - timedelta(days=90), not_after=now + timedelta(days=days))
    issued.configure_cert(made)
    return made


async def under_tls(ca_file: str, tls: ssl.SSLContext, plain: str = "") -> Findings:
    async with serving(Api(), tls) as (target, _):
        plain = plain or f"http://127.0.0.1:{free_port()}"
        return await seen(target, config=replace(CONFIG, ca_file=ca_file, plain=plain))


async def test_a_good_certificate(ca_file: str) -> None:
    found = await under_tls(ca_file, certified())
    assert found.names == []
    assert found.fine["tls"] == "TLS 1.3, and the certificate is trusted"
    assert found.fine["certificate-ends"] == "the certificate is good for 60 days"


@pytest.mark.parametrize(
    ("status", "where", "served"),
    [
        (200, "", True),
        (308, "https://127.0.0.1/health", False),
        (301, "http://127.0.0.1/", True),
        (404, "", False),
    ],
)
async def test_what_plain_http_answers(ca_file: str, status: int, where: str, served: bool) -> None:
    answer = said(status, {"status": "healthy"}, [("Location", where)] if where else [])
    async with serving(lambda _: answer) as (plain, _):
        found = await under_tls(ca_file, certified(), plain)
    assert found.names == (["plain-http"] if served else [])


async def test_an_expired_one(ca_file: str) -> None:
    trouble = unreachable(await under_tls(ca_file, certified(days=-2)), "certificate-expired")
    ended = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 2 * 86400))
    assert f"certificate has expired, it ended on {ended}" in trouble.saw[0]


async def test_one_that_begins_tomorrow(ca_file: str) -> None:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    CA.issue_cert("127.0.0.1", not_before=now + timedelta(days=1)).configure_cert(made)
    trouble = unreachable(await under_tls(ca_file, made), "certificate-expired")
    assert trouble.cause.startswith("The certificate is not good yet")


async def test_one_for_another_name(ca_file: str) -> None:
    trouble = unreachable(await under_tls(ca_file, certified("other.example")), "certificate-name")
    assert "subjectAltName" in commands(trouble)


async def test_one_that_nobody_vouches_for(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    trouble = unreachable(await under_tls(str(other), certified()), "certificate-issuer")
    assert "issuer" in trouble.saw[0] or "self" in trouble.saw[0]


async def test_one_that_ends_soon(ca_file: str) -> None:
    found = await under_tls(ca_file, certified(days=3))
    assert found.only("certificate-ends").saw[0].startswith("the certificate ends in 2 d 23 h")
    assert found.report.exit() == 1


@contextlib.contextmanager
def old_tls() -> Iterator[int]:
    """Says why it refuses, as servers do; asyncio's keep it to themselves."""
    context = certified()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), connection:
                        context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


async def test_old_tls_only(ca_file: str) -> None:
    with old_tls() as port:
        config = replace(CONFIG, ca_file=ca_file, plain=f"http://127.0.0.1:{free_port()}")
        trouble = unreachable(await seen(f"https://127.0.0.1:{port}", config=config), "tls-version")
    assert "PROTOCOL" in trouble.saw[0]


async def test_http_where_https_was_asked() -> None:
    async with serving() as (target, _):
        unreachable(await seen(f"https{target[4:]}"), "no-tls")


async def test_it_was_asleep() -> None:
    """The first answer takes longer than anybody waits, the next one comes."""
    asked: list[Asked] = []

    async def waking(request: Asked) -> bytes:
        asked.append(request)
        await asyncio.sleep(5 if len(asked) == 1 else 0)
        return said(200, {"status": "healthy"})

    async with serving(Api(paths={"GET /health": waking})) as (target, _):
        found = await seen(target)
        assert found.report.reached
        assert "hangs" not in found.names
