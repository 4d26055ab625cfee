"""A webhook receiver for the tests: keeps what arrives."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Notice(NamedTuple):
    """One notification: "firing" or "resolved", of which alert, and the rest of it."""

    status: str
    alert: str
    severity: str
    annotations: dict[str, str]
    fingerprint: str


class Inbox:
    def __init__(self, url: str) -> None:
        self.url = url
        self.notices: list[Notice] = []
        self.bodies: list[dict[str, Any]] = []

    def take(self, body: dict[str, Any]) -> None:
        self.bodies.append(body)
        for alert in body["alerts"]:
            labels = alert["labels"]
            self.notices.append(
                Notice(
                    alert["status"],
                    labels["alertname"],
                    labels.get("severity", ""),
                    alert["annotations"],
                    alert["fingerprint"],
                )
            )

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(notice.status, notice.alert) for notice in self.notices]

    def holds(self, status: str, alert: str) -> bool:
        return (status, alert) in self.story


@contextlib.contextmanager
def run_inbox() -> Iterator[Inbox]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.take(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    inbox = Inbox(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
