"""The pages for people."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from monitor.web import runbooks
from monitor.web.drawing import Drawing
from monitor.web.forms import own_path
from monitor.web.page import Page
from monitor.web.view import overview, public_view, target_page


def routes(page: Page, drawing: Drawing) -> APIRouter:
    web = APIRouter()

    @web.get("/")
    async def start(request: Request) -> Response:
        snapshot = page.snapshot()
        return await drawing.page(request, "start.html", lambda: {"view": overview(snapshot)})

    @web.get("/targets/{name}")
    async def target(request: Request, name: str) -> Response:
        snapshot = page.snapshot()
        if snapshot.of(name) is None:
            raise HTTPException(404, f"there is no target {name[:80]!r}")
        return await drawing.page(request, "target.html", lambda: {"view": target_page(snapshot, name)})

    @web.get("/status")
    async def public(request: Request) -> Response:
        snapshot = page.snapshot()
        return await drawing.page(request, "status.html", lambda: {"view": public_view(snapshot)})

    @web.get("/runbooks/{name}")
    async def runbook(request: Request, name: str) -> Response:
        path = runbooks.find(page.cycle.objectives, name)
        if path is None:
            raise HTTPException(404, f"there is no runbook {name[:80]!r}")
        return await drawing.page(
            request, "runbook.html", lambda: {"text": runbooks.as_html(path), "name": name}
        )

    @web.get("/sign-in")
    async def sign_in(back: str = "/") -> Response:
        """Nobody comes here without a name."""
        return RedirectResponse(own_path(back), 303)

    return web


def add_errors(web: FastAPI, drawing: Drawing) -> None:
    """People get a page, programs get JSON."""

    @web.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith(("/api/", "/-/", "/metrics", "/badge/")):
            return await http_exception_handler(request, error)
        said: dict[str, Any] = {"status": error.status_code, "detail": error.detail}
        return await drawing.page(request, "error.html", lambda: said, error.status_code)
