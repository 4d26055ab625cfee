"""What every request is held to: a body of bounded size; and HEAD, which is GET without the body."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 16_384
ENDLESS = "/api/v1/events"


class Bounds:
    """ASGI middleware, inside the one that knows who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] != ENDLESS:
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await self._app(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    """Raises 413, in whoever reads, for more than anything of ours holds."""
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LONGEST_BODY:
            raise HTTPException(413, f"more than {LONGEST_BODY} bytes")
        return message

    return receiving


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sending
