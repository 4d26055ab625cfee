"""Sentry's own client, and a receiver of envelopes in the place of sentry.io."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.telemetry import TRACED
from app.version import VERSION
from tests.app.conftest import PASSWORD, StartServer, log_in, upload
from tests.servers import wait_until

REQUESTS = 400
SHEET = b"Account,Debit,Credit\n1000 Petty Kash,8675309.42,\n4000 Wombat Sales,,8675309.42\n"


class Sentry(ThreadingHTTPServer):
    """Takes envelopes and keeps them, unzipped."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Envelopes)
        self.envelopes: list[bytes] = []

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.server_port}/1"

    @property
    def heard(self) -> bytes:
        return b"\n".join(self.envelopes)

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of that type: one line of JSON each, after a line that says type and length."""
        found = []
        for envelope in self.envelopes:
            _, *lines = envelope.splitlines()
            for about, payload in zip(lines[::2], lines[1::2], strict=False):
                if json.loads(about)["type"] == kind:
                    found.append(json.loads(payload))
        return found


class _Envelopes(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        zipped = self.headers["Content-Encoding"] == "gzip"
        self.server.envelopes.append(gzip.decompress(body) if zipped else body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_sentry_hears_of_defects_and_of_nothing_personal(
    sentry: Sentry, serve: StartServer, tmp_path: Path
) -> None:
    env = {"SENTRY_DSN": sentry.dsn, "ENV_MODE": "development", "LOG_LEVEL": "DEBUG"}
    server, client = serve("tests.app.raising:create", env)
    with client:
        token = log_in(client)
        client.headers["Authorization"] = f"Bearer {token}"
        with contextlib.closing(sqlite3.connect(tmp_path / "paciolus.db")) as other:
            other.execute("ALTER TABLE diagnostic_summaries RENAME TO elsewhere")
        assert upload(client, SHEET).status_code == 500
        marks = {
            "X-Request-ID": "made-by-a-test",
            "X-Forwarded-For": "203.0.113.77",
            "Cookie": "a=hunter2-cookie",
        }
        client.get(f"/raise?email=ada@example.com&token={token}&plain=hunter2-query", headers=marks)
        wait_until(lambda: b"no such table" in sentry.heard and b"on purpose" in sentry.heard, 15, "events")
    server.stop()
    first, *_ = sentry.items("event")
    assert (first["environment"], first["release"]) == ("development", VERSION)
    assert any(event.get("tags", {}).get("request_id") == "made-by-a-test" for event in sentry.items("event"))
    personal = [
        "Petty Kash",
        "Wombat",
        "8675309",
        "ada@example.com",
        PASSWORD,
        token,
        "$argon2",
        "203.0.113.77",
    ]
    assert [told for told in [*personal, "hunter2"] if told.encode() in sentry.heard] == []


def test_a_tenth_is_traced_whatever_callers_ask_for(sentry: Sentry, serve: StartServer) -> None:
    server, client = serve("app.main:create_app", {"SENTRY_DSN": sentry.dsn})
    asking = {"sentry-trace": "0123456789abcdef0123456789abcdef-0123456789abcdef-1"}
    with client:
        for _ in range(REQUESTS):
            client.get("/clients", headers=asking)
            client.get("/health")
    server.stop()
    traces = sentry.items("transaction")
    assert {trace["transaction"] for trace in traces} == {"/clients"}, traces[:1]
    # Five standard deviations each way.
    spread = 5 * (REQUESTS * TRACED * (1 - TRACED)) ** 0.5
    assert abs(len(traces) - REQUESTS * TRACED) < spread


def test_the_last_words_arrive(sentry: Sentry, serve: StartServer) -> None:
    server, client = serve("tests.app.raising:create", {"SENTRY_DSN": sentry.dsn})
    with client:
        client.get("/raise")
    server.stop()
    assert b"on purpose" in sentry.heard
