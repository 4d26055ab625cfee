"""The single values of monitor.yml: what each accepts, and what it says to anything else.

Each function takes what the file holds and returns what the program uses, or raises ValueError with a cure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from monitor.mistakes import did_you_mean, shown
from monitor.quantity import Seconds, format_duration

_MAILBOX = re.compile(r"([\w .'-]+ <)?[!#-'*+./0-9=?A-Z^_`a-z{-~-]+@[A-Za-z0-9.-]+(?(1)>)", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")


def parse_name(written: object) -> str:
    if not isinstance(written, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", written):
        raise ValueError(
            f"expected a name of letters, digits, dots, dashes and underscores, got {shown(written)}"
        )
    return written


def parse_url(written: object) -> str:
    """A base URL: http or https, a host, perhaps a path; no slash at its end."""
    text = parse_http_url(written)
    if urlsplit(text).query or urlsplit(text).fragment:
        raise ValueError(
            f"expected a URL without ? and #, which belong into a check's path, got {shown(written)}"
        )
    return text.rstrip("/")


def parse_http_url(written: object) -> str:
    text = written if isinstance(written, str) else ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"expected a URL such as http://127.0.0.1:8000, got {shown(written)}") from None
    if (
        parts.scheme not in ("http", "https")
        or not _HOST.fullmatch(host)
        or not text.isprintable()
        or " " in text
    ):
        cure = "; did you forget http:// or https://?" if re.match(r"[\w.-]+(:\d+)?(/|$)", text) else ""
        raise ValueError(f"expected a URL such as http://127.0.0.1:8000, got {shown(written)}{cure}")
    if "@" in parts.netloc:
        raise ValueError(
            "expected a URL without user name and password; send an Authorization header instead"
        )
    return text


def parse_path(written: object) -> str:
    if not isinstance(written, str) or not re.fullmatch(r"/[!-~]*", written) or "#" in written:
        raise ValueError(f"expected a path that starts with a slash, such as /health, got {shown(written)}")
    return written


def parse_statuses(written: object) -> tuple[tuple[int, int], ...]:
    """Inclusive ranges, from `204`, `200-299` or a list of such."""
    listed = written if isinstance(written, list) else [written]
    found = [re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", str(each)) for each in listed]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    if not listed or len(ranges) < len(listed) or any(low > high for low, high in ranges):
        raise ValueError(f"expected statuses such as 204, 200-299 or [200, 204], got {shown(written)}")
    return tuple(ranges)


def parse_pattern(written: object) -> re.Pattern[bytes]:
    text = written if isinstance(written, str) else str(written)
    try:
        return re.compile(text.encode())
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {shown(written)}: {error}") from None


def parse_headers(written: object) -> tuple[tuple[str, str], ...]:
    """Says nothing of the values: they may be keys."""
    if not isinstance(written, dict):
        raise ValueError(f"expected a mapping of header names and values, got {shown(written)}")  # noqa: TRY004
    for name, value in written.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an HTTP header")
        if isinstance(value, dict | list) or value is None or not str(value).isprintable():
            raise ValueError(f"expected one line of text as the value of {name}")
    return tuple((name, str(value)) for name, value in written.items())


def parse_proxy(written: object) -> str:
    if not isinstance(written, str) or not re.fullmatch(r"(https?|socks5h?)://[^\s/]+/?", written):
        raise ValueError("expected a proxy such as http://proxy.internal:3128")
    return written


def parse_listen(written: object) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})", str(written))
    if match is None or int(match[3]) > 65535:
        raise ValueError(
            f"expected an address and a port from 0 to 65535 such as 127.0.0.1:9464, got {shown(written)}"
        )
    return match[1] or match[2], int(match[3])


def parse_database(written: object) -> sa.URL:
    """Says nothing of what is there: it may hold a password."""
    try:
        url = sa.make_url(str(written))
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or not str(written).isprintable():
        raise ValueError("expected a URL such as sqlite:///monitor.db or postgresql://user@host/name")
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise ValueError(f"expected a sqlite:// or postgresql:// URL, got {kind}://")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("expected a file: alerts and unsent messages must outlive a restart")
    return url


def parse_secret(written: object) -> str:
    """Says nothing of what is there."""
    if not isinstance(written, str) or not re.fullmatch(r"[!-~]{1,500}", written):
        raise ValueError("expected a key or password of up to 500 characters without spaces, such as ${KEY}")
    return written


def parse_secret_url(written: object) -> str:
    """Says nothing of what is there: whoever knows the address may post to it."""
    try:
        return parse_http_url(written)
    except ValueError:
        raise ValueError("expected a URL such as https://hooks.slack.com/services/…") from None


def parse_signing_secret(written: object) -> bytes:
    """whsec_ and base64, as others write them; any other text counts as its bytes. At least 16 of them."""
    text = parse_secret(written)
    encoded = text.removeprefix("whsec_")
    try:
        secret = base64.b64decode(encoded, validate=True) if encoded != text else text.encode()
    except ValueError:
        secret = b""
    if len(secret) < 16:
        raise ValueError("expected a secret of at least 16 bytes: `openssl rand -hex 32` makes one")
    return secret


def parse_sentry_dsn(written: object) -> str:
    """Says nothing of what is there."""
    from sentry_sdk.utils import Dsn  # takes longer to import than all else that reads files

    try:
        return str(written) if Dsn(str(written)) else ""
    except ValueError:
        raise ValueError("expected a DSN such as https://KEY@o1.ingest.sentry.io/2") from None


def parse_host(written: object) -> str:
    if not isinstance(written, str) or not _HOST.fullmatch(written):
        raise ValueError(f"expected the name or address of a server, got {shown(written)}")
    return written


def parse_mailbox(written: object) -> str:
    """ASCII, as not every server takes more."""
    if not isinstance(written, str) or not _MAILBOX.fullmatch(written):
        raise ValueError(
            f"expected an address such as oncall@example.com or Name <oncall@example.com>, "
            f"got {shown(written)}"
        )
    return written


def parse_probe(written: object) -> str:
    from monitor.probes import PROBES  # imports monitor.config, which imports this file

    return _one_of(PROBES, "probe", written)


def parse_notifier(written: object) -> str:
    from monitor.notify import NOTIFIERS  # imports monitor.config, which imports this file

    return _one_of(NOTIFIERS, "notifier", written)


def _one_of(known: Iterable[str], what: str, written: object) -> str:
    if str(written) not in known:
        raise ValueError(f"there is no {what} {shown(written)}{did_you_mean(str(written), known)}")
    return str(written)


def _from_to(shortest: float, longest: float) -> AfterValidator:
    def check(seconds: float) -> float:
        if not shortest <= seconds <= longest:
            limits = f"{format_duration(shortest)} to {format_duration(longest)}"
            raise ValueError(f"expected {limits}, got {format_duration(seconds)}")
        return seconds

    return AfterValidator(check)


Probe = Annotated[str, BeforeValidator(parse_probe)]
Notifier = Annotated[str, BeforeValidator(parse_notifier)]
Name = Annotated[str, BeforeValidator(parse_name)]
BaseUrl = Annotated[str, BeforeValidator(parse_url)]
HttpUrl = Annotated[str, BeforeValidator(parse_http_url)]
UrlPath = Annotated[str, BeforeValidator(parse_path)]
Statuses = Annotated[tuple[tuple[int, int], ...], PlainValidator(parse_statuses)]
Pattern = Annotated[re.Pattern[bytes], PlainValidator(parse_pattern)]
Headers = Annotated[tuple[tuple[str, str], ...], PlainValidator(parse_headers)]
Proxy = Annotated[str, BeforeValidator(parse_proxy)]
Listen = Annotated[tuple[str, int], PlainValidator(parse_listen)]
Database = Annotated[sa.URL, PlainValidator(parse_database)]
Interval = Annotated[Seconds, _from_to(0.1, 86400)]
Timeout = Annotated[Seconds, _from_to(0.01, 3600)]
Resend = Annotated[Seconds, _from_to(0.1, 60)]
Beat = Annotated[Seconds, _from_to(1, 3600)]
Reminder = Annotated[Seconds, _from_to(60, 7 * 86400)]
Secret = Annotated[str, BeforeValidator(parse_secret)]
SecretUrl = Annotated[str, BeforeValidator(parse_secret_url)]
SigningSecret = Annotated[bytes, PlainValidator(parse_signing_secret)]
SentryDsn = Annotated[str, BeforeValidator(parse_sentry_dsn)]
Host = Annotated[str, BeforeValidator(parse_host)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Mailbox = Annotated[str, BeforeValidator(parse_mailbox)]
