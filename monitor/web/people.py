"""The pages for people."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from monitor.web import histories, runbooks
from monitor.web.actions import LARGEST_ID
from monitor.web.drawing import Content, Drawing, ready
from monitor.web.forms import own_path
from monitor.web.page import Page
from monitor.web.past import DEFAULT, RANGES, Away, Range
from monitor.web.pastview import incident_view
from monitor.web.public import public_view
from monitor.web.view import overview, target_page


def routes(page: Page, drawing: Drawing) -> APIRouter:
    web = APIRouter()
    _live(web, page, drawing)
    _still(web, page, drawing)
    return web


def _live(web: APIRouter, page: Page, drawing: Drawing) -> None:
    """Pages of the present, with its past beside it."""

    @web.get("/")
    async def start(request: Request) -> Response:
        async def content() -> Content:
            snapshot = page.snapshot()
            gathered = await histories.of_start(page, snapshot, _range(request))
            return lambda: {"view": overview(snapshot, gathered)}

        return await drawing.page(request, "start.html", content)

    @web.get("/targets/{name}")
    async def target(request: Request, name: str) -> Response:
        if page.snapshot().of(name) is None:
            raise HTTPException(404, f"there is no target {name[:80]!r}")

        async def content() -> Content:
            snapshot = page.snapshot()
            gathered = await histories.of_target(page, snapshot, name, _range(request))
            return lambda: {"view": target_page(snapshot, name, gathered)}

        return await drawing.page(request, "target.html", content)

    @web.get("/status")
    async def public(request: Request) -> Response:
        async def content() -> Content:
            snapshot = page.snapshot()
            gathered = await histories.of_public(page, snapshot)
            return lambda: {"view": public_view(snapshot, gathered)}

        return await drawing.page(request, "status.html", content)


def _still(web: APIRouter, page: Page, drawing: Drawing) -> None:
    """Pages that change seldom or never."""

    @web.get("/incidents/{number:int}")
    async def incident(request: Request, number: int) -> Response:
        found = await page.past.answer(page.past.incident(number)) if number <= LARGEST_ID else None
        if found is None:
            raise HTTPException(404, f"there is no incident {number}")
        if isinstance(found, Away):
            raise HTTPException(503, f"history is not available: {found.why}")
        view, title = incident_view(found, page.clock()), found.title
        return await drawing.page(request, "incident.html", ready({"each": view, "heading": title}))

    @web.get("/runbooks/{name}")
    async def runbook(request: Request, name: str) -> Response:
        path = runbooks.find(page.cycle.objectives, name)
        if path is None:
            raise HTTPException(404, f"there is no runbook {name[:80]!r}")
        text = runbooks.runbook_html(page.cycle.objectives, path)
        return await drawing.page(request, "document.html", ready({"text": text, "name": f"Runbook {name}"}))

    @web.get("/thresholds")
    async def thresholds(request: Request) -> Response:
        text = runbooks.thresholds_html(page.cycle.objectives)
        return await drawing.page(request, "document.html", ready({"text": text, "name": "Thresholds"}))

    @web.get("/sign-in")
    async def sign_in(back: str = "/") -> Response:
        """Nobody comes here without a name."""
        return RedirectResponse(own_path(back), 303)


def _range(request: Request) -> Range:
    return RANGES.get(request.query_params.get("range", ""), DEFAULT)


def add_errors(web: FastAPI, drawing: Drawing) -> None:
    """People get a page, programs get JSON."""

    @web.exception_handler(RequestValidationError)
    async def senseless(_: Request, error: RequestValidationError) -> Response:
        """In words, and without what was sent: that may be a secret in the wrong place."""
        wrong = [f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors()]
        return JSONResponse({"detail": "; ".join(wrong)}, 422)

    @web.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith(("/api/", "/-/", "/metrics", "/badge/")):
            return await http_exception_handler(request, error)
        said: dict[str, Any] = {"status": error.status_code, "detail": error.detail}
        return await drawing.page(request, "error.html", ready(said), error.status_code)
