"""Which pages of other origins may ask the API in a visitor's name: the frontend's own, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monitor.gate.found import Found, all_held
from monitor.gate.model import Asked

if TYPE_CHECKING:
    from monitor.gate.asking import Answer
    from monitor.gate.run import Run

FOREIGN = "https://gate.invalid"
"""Nobody can have it (RFC 2606)."""
ALLOWED = "access-control-allow-origin"


async def restricted(run: Run) -> Found:
    faults: list[tuple[str, Asked]] = []
    own = _origin(run.config.frontend)
    tried = list(_foreign(own))
    for origin in tried:
        faults += [
            (f"{answer.asked.what} from {origin} is answered with {said!r}", answer.asked)
            for answer in await _both(run, origin)
            if (said := answer.headers.get(ALLOWED, "")) in (origin, "*")
        ]
    if own:
        preflight, _ = await _both(run, own)
        if preflight.headers.get(ALLOWED, "") not in (own, "*"):
            why = f"the frontend's own origin {own} is kept out: is it in CORS_ORIGINS, without a slash?"
            faults.append((why, preflight.asked))
    return all_held(faults, f"kept out: {', '.join(tried)}{f'; let in: {own}' if own else ''}")


def _foreign(own: str) -> Iterator[str]:
    """Also what a careless comparison takes for our own."""
    yield FOREIGN
    yield "null"
    if own:
        yield f"{own}.gate.invalid"
        scheme, _, host = own.partition("://")
        yield f"{scheme}://gate-{host}"
        if scheme == "https":
            yield f"http://{host}"


async def _both(run: Run, origin: str) -> tuple[Answer, Answer]:
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = await run.asker.ask("OPTIONS", "/clients", headers=asks)
    return preflight, await run.asker.ask("GET", "/health", headers={"Origin": origin})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if url else ""
