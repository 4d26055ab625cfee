"""Who may look, and who may change: decided before any page sees the request.

Reading is open to this machine alone, and writing to nobody without a name. What counts as this machine is
the peer of the connection: a request that a proxy forwarded comes from elsewhere, whatever its headers say,
and so does one whose Host a stranger's web site chose (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.config import Config
from monitor.web.credentials import Busy, Credentials, Locked

READING = frozenset({"GET", "HEAD", "OPTIONS"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
SIGN_IN = "/sign-in"


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is None for whoever has not signed in; `inside`: may read everything."""

    name: str | None = None
    inside: bool = True


class Guard:
    """ASGI middleware, outermost; leaves the `Caller` in the scope."""

    def __init__(
        self, app: ASGIApp, config: Callable[[], Config], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`config` gives the one in force."""
        self._app = app
        self._in_force = config
        self._credentials = Credentials(config().web, clock)
        self._configure(config())

    def _configure(self, config: Config) -> None:
        self._config, self._web = config, config.web
        self._credentials.configure(config.web)
        self._hosts = HERE | _hosts_of(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if (config := self._in_force()) is not self._config:
            self._configure(config)
        headers = Headers(scope=scope)
        caller = await self._caller(scope, headers)
        if isinstance(caller, Response):
            await caller(scope, receive, _hardened(send, scope["path"]))
            return
        scope["caller"] = caller
        await self._app(scope, receive, _hardened(send, scope["path"]))

    async def _caller(self, scope: Scope, headers: Headers) -> Caller | Response:
        """Or the answer for somebody who may not."""
        writes = scope["method"] not in READING or scope["path"] == SIGN_IN
        written = headers.get("authorization")
        if written is None:
            inside = self._from_here(scope, headers)
            if not writes and (inside or self._open(scope["path"])):
                return Caller(inside=inside)
            return self._unknown("who are you?")
        try:
            name = await self._credentials.name(written, _peer(scope))
        except Locked as locked:
            wait = {"retry-after": f"{locked.seconds:.0f}"}
            return PlainTextResponse("too many wrong passwords from this address; wait\n", 429, wait)
        except Busy:
            return PlainTextResponse(
                "too many people sign in at once; try again\n", 503, {"retry-after": "2"}
            )
        if name is None:
            return self._unknown("wrong name, password or token")
        return Caller(name)

    def _open(self, path: str) -> bool:
        if path in ("/metrics", "/-/healthy"):
            return self._web.open_metrics
        if path == "/status" or path.startswith("/badge/"):
            return self._web.public_status
        return path.startswith("/static/")

    def _from_here(self, scope: Scope, headers: Headers) -> bool:
        if any(name in headers for name in FORWARDED):
            return False
        return _is_loopback(_peer(scope)) and host_name(headers.get("host", "")) in self._hosts

    def _unknown(self, why: str) -> Response:
        nobody = "" if self._web.users or self._web.tokens else _NOBODY
        headers = {"www-authenticate": 'Basic realm="Paciolus Monitor", charset="UTF-8"'}
        return PlainTextResponse(f"{why}\n{nobody}", 401, headers)


_NOBODY = (
    "Nobody can sign in yet: add web.users or web.tokens to monitor.yml. Without a name the page can be read "
    "on the agent's own machine only, as http://127.0.0.1 or http://localhost.\n"
)


def _hosts_of(config: Config) -> frozenset[str]:
    own = urlsplit(config.web.url).hostname if config.web.url else None
    return frozenset({config.host.lower(), *([own.lower()] if own else [])}) - {"0.0.0.0", "::"}


def host_name(host: str) -> str:
    """Of a Host header or an authority: without port and brackets, in small letters; empty for nonsense."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _peer(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def _is_loopback(address: str) -> bool:
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return (mapped or peer).is_loopback


def _hardened(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_missing(message["headers"], path)]
        await send(message)

    return sending


def _missing(given: Iterable[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """A badge may be shown on other sites; a page may not, and is never kept."""
    names = {name.lower() for name, _ in given}
    wanted = {
        **ALWAYS,
        "cache-control": "no-store",
        "cross-origin-resource-policy": "cross-origin" if path.startswith("/badge/") else "same-origin",
    }
    return [(name.encode(), text.encode()) for name, text in wanted.items() if name.encode() not in names]
