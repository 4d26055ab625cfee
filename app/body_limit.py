"""Request bodies have a bound: 413 before a byte is read, or when more comes than was announced."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware; `default` and the `paths` that differ from it are in bytes.

    The 413 is raised where the body is read, and answered by the app's own error handling.
    """

    def __init__(self, app: ASGIApp, *, default: int, paths: Mapping[str, int]) -> None:
        self._app = app
        self._default = default
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._paths.get(scope["path"], self._default)
        announced = int(
            dict(scope["headers"]).get(b"content-length", 0)
        )  # the server has checked that it is a number
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            if received == 0 and announced > limit:
                raise _too_large(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        await self._app(scope, receive_bounded, send)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than {limit:,} bytes")
