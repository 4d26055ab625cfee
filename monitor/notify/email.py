"""Sends an e-mail through an SMTP server: text and HTML, in one thread for each incident."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from email.utils import formataddr, formatdate
from typing import Annotated, Any, ClassVar, Literal

import aiosmtplib
from pydantic import Field

from monitor.config import NotifierConfig
from monitor.fields import Host, Mailbox, Port, Secret
from monitor.notify.delivery import DeliveryError
from monitor.notify.email_html import as_html
from monitor.notify.page import PageContent, as_text, one_line, parse_page, shortened

PORTS = {"starttls": 587, "tls": 465, "none": 25}
LONGEST_SUBJECT = 200
MOST_UNFINISHED = 1000
SHOWN = 300
PERMANENT = 500
"""From this code on; a server that breaks the protocol has none (-1)."""


@dataclass(frozen=True, slots=True)
class EmailOptions:
    """`ca_file` is trusted instead of the system's certificates."""

    host: Host
    from_: Annotated[Mailbox, Field(alias="from")]
    to: Annotated[tuple[Mailbox, ...], Field(min_length=1, max_length=50)]
    security: Literal["starttls", "tls", "none"] = "starttls"
    port: Port | None = None
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together; give both or neither")
        if self.password and self.security == "none":
            raise ValueError("the password would travel in clear; use security: starttls or tls")


class Email:
    """4xx and no answer are tried again, 5xx (a refused password or address) is permanent."""

    takes: ClassVar[type[Any]] = EmailOptions
    at_once: ClassVar[int] = 3
    """Mail servers take as few connections of one client as that, and turn others away."""

    def __init__(self, config: NotifierConfig) -> None:
        self._options: EmailOptions = config.options
        self._timeout = config.timeout
        self._reached: dict[str, frozenset[str]] = {}
        """By message, who has it already while others must still get it."""

    async def send(self, body: str, dedup_key: str) -> str:
        message = _message(parse_page(body), body, dedup_key, self._options)
        had = self._reached.get(message["Message-ID"], frozenset())
        left = [each for each in self._options.to if each not in had]
        try:
            refused, said = await self._transact(message, left)
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused, said = {each.recipient: (each.code, each.message) for each in error.recipients}, ""
        except aiosmtplib.SMTPResponseException as error:
            raise _failed(error.code, error.message) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise DeliveryError(str(error), permanent=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"no answer: {type(error).__name__} {error}"[:SHOWN]) from error
        self._settle(message["Message-ID"], had.union(left) - refused.keys(), refused)
        return one_line(f"250 {said}")[:SHOWN]

    def _settle(self, identity: str, had: frozenset[str], refused: Mapping[str, tuple[int, str]]) -> None:
        """Raises DeliveryError: who may be reached later is tried again alone; else an address is wrong."""
        later = [who for who, (code, _) in refused.items() if code < PERMANENT]
        self._reached.pop(identity, None)
        if later and len(self._reached) < MOST_UNFINISHED:
            self._reached[identity] = had
        for who in later or refused:
            code, said = refused[who]
            raise _failed(code, f"{said} about {who}")

    async def _transact(
        self, message: EmailMessage, recipients: list[str]
    ) -> tuple[dict[str, tuple[int, str]], str]:
        options, secure = self._options, self._options.security
        client = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port or PORTS[secure],
            use_tls=secure == "tls",
            start_tls=False,
            tls_context=ssl.create_default_context(cafile=options.ca_file) if secure != "none" else None,
            timeout=self._timeout,
        )
        try:
            await client.connect()
            if secure == "starttls":
                await _encrypt(client)
            if options.username and options.password:
                await client.login(options.username, options.password)
            refused, said = await client.sendmail(_address(options.from_), recipients, message.as_bytes())
        finally:
            client.close()
        return {who: (answer.code, answer.message) for who, answer in refused.items()}, said

    async def close(self) -> None:
        """Nothing is held open."""


async def _encrypt(client: aiosmtplib.SMTP) -> None:
    await client.ehlo()
    if not client.supports_extension("starttls"):
        raise DeliveryError("the server offers no STARTTLS; set security: tls or none", permanent=True)
    await client.starttls()


def _failed(code: int, why: str) -> DeliveryError:
    text = one_line(f"answered {code} {why}")
    return DeliveryError(text[:SHOWN], permanent=code >= PERMANENT)


def _message(page: PageContent, body: str, dedup_key: str, options: EmailOptions) -> EmailMessage:
    """References put all messages about one incident into one thread, and a retry is the same message."""
    domain = _address(options.from_).rpartition("@")[2]
    digest = hashlib.sha256(body.encode()).hexdigest()[:16]
    message = EmailMessage(policy=CRLF)
    message["Subject"] = shortened(f"[{page.severity}] {page.headline}", LONGEST_SUBJECT)
    message["From"] = (
        options.from_ if "<" in options.from_ else formataddr(("Paciolus Monitor", options.from_))
    )
    message["To"] = ", ".join(options.to)
    message["Date"] = formatdate(page.at)
    message["Message-ID"] = f"<{dedup_key}.{digest}@{domain}>"
    message["References"] = message["In-Reply-To"] = f"<{dedup_key}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if page.firing and page.severity == "page":
        message["Importance"] = "high"
    message.set_content(as_text(page))
    message.add_alternative(as_html(page), subtype="html")
    return message


def _address(mailbox: str) -> str:
    return mailbox.rpartition("<")[2].rstrip(">")
