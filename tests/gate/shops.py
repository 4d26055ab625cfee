"""A small service that the gate can look at in seconds: an account, and paths that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.app.conftest import served


class Shop:
    """`slow`: seconds that a path takes more; `wrong`: a path's status."""

    def __init__(self, slow: dict[str, float] | None = None, wrong: dict[str, int] | None = None) -> None:
        self.slow, self.wrong = slow or {}, wrong or {}
        self.registered = self.deleted = 0
        self.heard: list[str] = []

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.heard.append(path)
        await asyncio.sleep(0.004 + self.slow.get(path, 0.0))
        if path in self.wrong:
            return Response(status_code=self.wrong[path])
        if path == "/auth/register":
            self.registered += 1
            return JSONResponse({"id": 1}, 201)
        if path == "/auth/delete":
            self.deleted += 1
            return Response(status_code=204)
        return JSONResponse({"access_token": "t"})


@contextmanager
def opened(shop: Shop) -> Iterator[str]:
    """Its URL."""
    app = Starlette(routes=[Route("/{path:path}", shop.answer, methods=["GET", "POST"])])
    with served(app) as client:  # type: ignore[arg-type]
        yield str(client.base_url).rstrip("/")
