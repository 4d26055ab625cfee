"""The pages for people: rendered in a thread, for measuring never waits for drawing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.web import runbooks
from monitor.web.page import Page
from monitor.web.view import overview
from monitor.web.words import plain

DRAWN_AT_ONCE = 2

_templates = Environment(
    loader=PackageLoader("monitor.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["plain"] = plain


def routes(page: Page) -> APIRouter:
    web = APIRouter()
    draw = _Drawing(page).draw

    @web.get("/")
    async def start(request: Request) -> Response:
        snapshot = page.snapshot()
        return await draw(request, "start.html", lambda: {"view": overview(snapshot)})

    @web.get("/runbooks/{name}")
    async def runbook(request: Request, name: str) -> Response:
        path = runbooks.find(page.cycle.objectives, name)
        if path is None:
            raise HTTPException(404, f"there is no runbook {name[:80]!r}")
        return await draw(request, "runbook.html", lambda: {"text": runbooks.as_html(path), "name": name})

    @web.get("/sign-in")
    async def sign_in() -> Response:
        """Nobody comes here without a name."""
        return RedirectResponse("/", 303)

    return web


class _Drawing:
    def __init__(self, page: Page) -> None:
        self._page = page
        self._places = asyncio.Semaphore(DRAWN_AT_ONCE)

    async def draw(self, request: Request, template: str, content: Callable[[], dict[str, Any]]) -> Response:
        common = {"caller": request.scope["caller"], "path": request.url.path}
        async with self._places:
            text = await asyncio.to_thread(
                lambda: _templates.get_template(template).render(**common, **content())
            )
        return HTMLResponse(text)


def add_errors(web: FastAPI) -> None:
    """People get a page, programs get JSON."""

    @web.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        from fastapi.exception_handlers import http_exception_handler

        if request.url.path.startswith(("/api/", "/-/", "/metrics")):
            return await http_exception_handler(request, error)
        text = _templates.get_template("error.html").render(
            caller=request.scope["caller"], path="", status=error.status_code, detail=plain(error.detail)
        )
        return HTMLResponse(text, error.status_code, error.headers)
