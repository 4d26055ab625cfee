"""Changes that people ask for in a browser: only from a page of ours, only by somebody with a name."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from monitor.web.access import Caller

VALID = 12 * 3600
"""Seconds for which a form may lie open; twice that at most."""


class Forms:
    """A token belongs to one name, one half of a day and one life of the agent, so nothing need be kept."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def token(self, caller: Caller, now: float) -> str:
        """Empty for somebody without a name, who has no form to send."""
        return self._made(caller, int(now // VALID)) if caller.name else ""

    def _made(self, caller: Caller, slot: int) -> str:
        return hmac.new(self._key, f"{caller.name}\0{slot}".encode(), hashlib.sha256).hexdigest()

    def is_right(self, token: str, caller: Caller, now: float) -> bool:
        slot = int(now // VALID)
        return any(
            hmac.compare_digest(token.encode(), self._made(caller, each).encode())
            for each in (slot, slot - 1)
        )


def check_origin(request: Request, own: str | None) -> None:
    """Raises 403 for what a page of somebody else made a browser send. Programs send no Origin."""
    said = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    hosts = {request.headers.get("host", "").lower(), urlsplit(own).netloc.lower() if own else ""} - {""}
    foreign = origin is not None and urlsplit(origin).netloc.lower() not in hosts
    if said not in ("same-origin", "none") or foreign:
        raise HTTPException(403, "this was sent by another site's page")


async def fields_of(request: Request) -> dict[str, str]:
    """Of a form; the last one counts where a name comes twice."""
    body = await request.body()
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise HTTPException(400, "this is no form") from None


def own_path(written: str) -> str:
    """A path on this page; the start page for an address that leads elsewhere."""
    own = written.startswith("/") and not written.startswith("//") and "\\" not in written
    return written if own and written.isprintable() else "/"
