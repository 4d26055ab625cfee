"""E-mail against a real SMTP server with TLS, log-in and moods, and what a mail program reads of it."""

from __future__ import annotations

import asyncio
import contextlib
import email
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from monitor.conversations import Kind
from monitor.notify.delivery import DeliveryError
from monitor.notify.email import Email
from tests.monitor.making import notifier_of
from tests.monitor.test_notifiers import KEY, body, nasty
from tests.servers import free_port

USER, PASSWORD = "monitor", "hunter2"


@dataclass
class MailServer:
    """`answers` come instead of its own, each once: by command, or by recipient."""

    port: int
    ca_file: Path
    auth: bool
    answers: dict[str, str] = field(default_factory=dict)
    inbox: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if refused := self.answers.pop(address, None):
            return refused
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        refused = "530 log in first" if self.auth and not session.authenticated else None
        if refused := refused or self.answers.pop("MAIL", None):
            return refused
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if refused := self.answers.pop("DATA", None):
            return refused
        content = cast("bytes", envelope.content)
        self.inbox.append((envelope.rcpt_tos, email.message_from_bytes(content, policy=default)))
        return "250 queued as 12AB"

    def notifier(self, **options: Any) -> Email:
        """Of a client with the right password, until `options` say otherwise."""
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "from_": "alerts@example.com",
            "to": ("ann@example.com", "Bob <bob@example.com>"),
            "ca_file": str(self.ca_file),
            "username": USER,
            "password": PASSWORD,
        }
        return Email(notifier_of("email", timeout=options.pop("timeout", 5.0), **given | options))


def authenticate(
    _: SMTP, _session: Session, _envelope: Envelope, _how: str, data: LoginPassword
) -> AuthResult:
    return AuthResult(
        success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False
    )


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@contextlib.asynccontextmanager
async def mail_server(
    authority: trustme.CA,
    ca_file: Path,
    *,
    security: str = "starttls",
    name: str = "127.0.0.1",
    auth: bool = True,
) -> AsyncIterator[MailServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    server = MailServer(free_port(), ca_file, auth)

    def session() -> SMTP:
        return SMTP(
            server,
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=authenticate if auth else None,
            auth_require_tls=security == "starttls",
        )

    loop = asyncio.get_running_loop()
    tls = context if security == "tls" else None
    listening = await loop.create_server(session, "127.0.0.1", server.port, ssl=tls)
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture
async def server(authority: trustme.CA, ca_file: Path) -> AsyncIterator[MailServer]:
    async with mail_server(authority, ca_file) as running:
        yield running


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_arrives_over_tls_with_a_password(
    authority: trustme.CA, ca_file: Path, security: str
) -> None:
    async with mail_server(authority, ca_file, security=security) as server:
        assert await server.notifier(security=security).send(body(), KEY) == "250 queued as 12AB"
    [(recipients, message)] = server.inbox
    assert recipients == ["ann@example.com", "bob@example.com"]
    assert message["Subject"].startswith("[page] FIRING api: Server errors (5xx / all requests): 7.1 %")
    assert message["From"] == "Paciolus Monitor <alerts@example.com>"
    assert message["To"] == "ann@example.com, Bob <bob@example.com>"
    assert message["Importance"] == "high"
    text, html = (part.get_content() for part in message.iter_parts())
    for shown in ("7.1 % (alert when above 5 %)", "Released lately: roll back.", "2.4.1, commit 3f2a9c1"):
        assert shown in text
        assert shown in html


async def test_a_plain_server_inside_the_house(authority: trustme.CA, ca_file: Path) -> None:
    async with mail_server(authority, ca_file, security="none", auth=False) as server:
        notifier = server.notifier(security="none", username=None, password=None, ca_file=None)
        await notifier.send(body(), KEY)
    assert len(server.inbox) == 1


async def test_an_incident_is_one_thread_and_a_retry_the_same_mail(server: MailServer) -> None:
    notifier = server.notifier()
    for text in (body(), body(), body(Kind.REMINDER), body(Kind.RESOLVED)):
        await notifier.send(text, KEY)
    fired, again, reminded, resolved = (message for _, message in server.inbox)
    assert fired["Message-ID"] == again["Message-ID"]
    assert len({each["Message-ID"] for each in (fired, reminded, resolved)}) == 3
    assert {each["References"] for each in (fired, reminded, resolved)} == {f"<{KEY}@example.com>"}
    assert "RESOLVED" in resolved["Subject"]
    assert resolved["Importance"] is None


async def test_what_a_target_says_forges_no_header_and_no_markup(server: MailServer) -> None:
    await server.notifier().send(nasty(), KEY)
    [(recipients, message)] = server.inbox
    assert message["Bcc"] is None
    assert len(recipients) == 2
    assert len(message["Subject"]) <= 200
    text, html = (part.get_content() for part in message.iter_parts())
    assert not any(line.startswith("Bcc:") for line in text.splitlines())
    assert "<https:" not in html
    assert "</script>" not in html
    assert "\x1b" not in text + html
    assert len(message.as_bytes()) < 300_000


@pytest.mark.parametrize(
    ("where", "answer", "permanent"),
    [
        ("MAIL", "451 try later", False),
        ("MAIL", "550 no such sender", True),
        ("DATA", "452 disk full", False),
        ("DATA", "554 looks like spam", True),
        ("DATA", "421 going down", False),
    ],
)
async def test_a_refusal_says_whether_to_try_again(
    server: MailServer, where: str, answer: str, permanent: bool
) -> None:
    server.answers[where] = answer
    with pytest.raises(DeliveryError, match=f"answered {answer}") as caught:
        await server.notifier().send(body(), KEY)
    assert caught.value.permanent is permanent


async def test_who_has_it_gets_it_once_though_another_must_be_tried_again(server: MailServer) -> None:
    server.answers["bob@example.com"] = "450 greylisted"
    notifier = server.notifier()
    with pytest.raises(DeliveryError, match=r"answered 450 greylisted about .*bob@example\.com") as caught:
        await notifier.send(body(), KEY)
    assert not caught.value.permanent
    await notifier.send(body(), KEY)
    assert [recipients for recipients, _ in server.inbox] == [["ann@example.com"], ["bob@example.com"]]
    assert notifier._reached == {}


async def test_an_address_that_is_wrong_is_said_though_the_others_have_it(server: MailServer) -> None:
    server.answers["bob@example.com"] = "550 unknown"
    with pytest.raises(DeliveryError, match="answered 550 unknown") as caught:
        await server.notifier().send(body(), KEY)
    assert caught.value.permanent
    assert [recipients for recipients, _ in server.inbox] == [["ann@example.com"]]


async def test_nobody_takes_it(server: MailServer) -> None:
    server.answers |= {"ann@example.com": "550 unknown", "bob@example.com": "451 later"}
    notifier = server.notifier()
    with pytest.raises(DeliveryError, match="answered 451 later") as caught:
        await notifier.send(body(), KEY)
    assert not caught.value.permanent


async def test_a_wrong_password_is_permanent_and_not_repeated_in_the_error(server: MailServer) -> None:
    with pytest.raises(DeliveryError, match="answered 535") as caught:
        await server.notifier(password="swordfish").send(body(), KEY)
    assert caught.value.permanent
    assert "swordfish" not in str(caught.value)


async def test_no_password_is_sent_where_there_is_no_tls(authority: trustme.CA, ca_file: Path) -> None:
    async with mail_server(authority, ca_file, security="none", auth=False) as server:
        with pytest.raises(DeliveryError, match="STARTTLS") as caught:
            await server.notifier().send(body(), KEY)
    assert caught.value.permanent
    assert server.inbox == []


async def test_a_certificate_of_somebody_else_is_not_trusted(authority: trustme.CA, ca_file: Path) -> None:
    async with mail_server(authority, ca_file, name="elsewhere.test") as server:
        with pytest.raises(DeliveryError, match="certificate"):
            await server.notifier().send(body(), KEY)
        with pytest.raises(DeliveryError, match="certificate"):
            await server.notifier(ca_file=None).send(body(), KEY)
    assert server.inbox == []


async def test_nobody_there(ca_file: Path) -> None:
    with pytest.raises(DeliveryError, match="no answer") as caught:
        await MailServer(free_port(), ca_file, auth=True).notifier().send(body(), KEY)
    assert not caught.value.permanent


def hangs(_: asyncio.StreamWriter) -> None:
    """Says nothing."""


def babbles(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220-" + b"x" * 1_000_000 + b"\r\n")


def goes_away(writer: asyncio.StreamWriter) -> None:
    writer.close()


def is_full(writer: asyncio.StreamWriter) -> None:
    writer.write(b"421 too many connections\r\n")


def hates_us(writer: asyncio.StreamWriter) -> None:
    writer.write(b"554 no\r\n")


@pytest.mark.parametrize(
    ("how", "permanent"),
    [(hangs, False), (babbles, False), (goes_away, False), (is_full, False), (hates_us, True)],
)
async def test_a_server_of_another_kind(
    how: Callable[[asyncio.StreamWriter], None], permanent: bool, ca_file: Path
) -> None:
    port, writers = free_port(), list[asyncio.StreamWriter]()

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        how(writer)

    began = time.monotonic()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        with pytest.raises(DeliveryError) as caught:
            await MailServer(port, ca_file, auth=True).notifier(timeout=0.3).send(body(), KEY)
        for writer in writers:
            writer.close()
    assert caught.value.permanent is permanent
    assert time.monotonic() - began < 5
