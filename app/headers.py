"""What every answer carries, those of the error handler included: a request id and the security headers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import set_request_id

_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")

# An API has nothing that a browser should run, frame or keep.
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_TWO_YEARS = 2 * 365 * 24 * 3600  # seconds
_HSTS = {"Strict-Transport-Security": f"max-age={_TWO_YEARS}; includeSubDomains"}
_POLICY = b"content-security-policy"
_REQUEST_ID = b"x-request-id"


class Headers:
    """ASGI middleware. `hsts` for what is served by HTTPS only; `pages` are free of the content policy."""

    def __init__(self, app: ASGIApp, *, hsts: bool, pages: Sequence[str] = ()) -> None:
        self._app = app
        headers = {**_ALWAYS, **(_HSTS if hsts else {})}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._on_pages = [(name, value) for name, value in self._headers if name != _POLICY]
        self._pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        set_request_id(request_id)
        ours = self._on_pages if scope["path"] in self._pages else self._headers

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                theirs = list(message.get("headers", ()))
                named = {name.lower() for name, _ in theirs}
                added = [header for header in ours if header[0] not in named]
                message["headers"] = [*theirs, *added, (_REQUEST_ID, request_id.encode())]
            return send(message)

        await self._app(scope, receive, send_with_headers)


def _request_id(scope: Scope) -> str:
    """The caller's, so that it can find itself in our logs, unless it is odd: those go into logs too."""
    sent = next((value for name, value in scope["headers"] if name == _REQUEST_ID), b"")
    text = sent.decode("latin-1")
    return text if _SANE_ID.fullmatch(text) else secrets.token_hex(16)
