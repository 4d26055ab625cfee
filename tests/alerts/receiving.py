"""Receivers on loopback: what Slack, PagerDuty and webhooks would be posted, and what would be mailed."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers import free_port


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: Any


class Receiver:
    def __init__(self, url: str) -> None:
        self.url = url
        self.posted: list[Posted] = []

    def at(self, path: str) -> list[Any]:
        """The bodies that were posted there, oldest first."""
        return [each.body for each in self.posted if each.path.partition("?")[0] == path]


@contextlib.contextmanager
def run_receiver() -> Iterator[Receiver]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.posted.append(Posted(self.path, dict(self.headers.items()), json.loads(body)))
            # PagerDuty says 202; Slack and webhooks are content with any 2xx.
            self.send_response(202)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mailbox:
    """`logins` are the names and passwords that were given."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        self.mails.append(email.message_from_bytes(raw, policy=email.policy.default))
        return "250 OK"

    def login(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, said: Any
    ) -> AuthResult:
        assert isinstance(said, LoginPassword)
        self.logins.append((said.login, said.password))
        return AuthResult(success=True)


@contextlib.contextmanager
def run_mailbox() -> Iterator[Mailbox]:
    """An SMTP server without TLS, which takes any login."""
    mailbox = Mailbox()
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=mailbox.port,
        authenticator=mailbox.login,
        auth_require_tls=False,
        # Its prompts for LOGIN are others than those that Alertmanager waits for.
        auth_exclude_mechanism=["LOGIN"],
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
