"""Puts the port together: who may come in, machines' pages, people's pages, the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from monitor.web import api, api_gate, api_past, badges, people, posting
from monitor.web.access import Guard
from monitor.web.actions import Actions
from monitor.web.bounds import Bounds
from monitor.web.drawing import Drawing
from monitor.web.forms import Forms
from monitor.web.page import Page

STATIC = Path(__file__).parent / "static"


def create_web(page: Page) -> FastAPI:
    web = FastAPI(
        title="Paciolus Monitor",
        description="What the agent knows. Times are seconds since the epoch, durations are seconds.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    forms, actions = Forms(), Actions(page)
    drawing = Drawing(page, forms, posting.SAID)
    web.add_middleware(Bounds)
    web.add_middleware(Guard, config=lambda: page.config)
    _for_machines(web, page)
    web.include_router(api.routes(page))
    web.include_router(api.changes(page, actions))
    web.include_router(api_past.routes(page))
    web.include_router(api_gate.reading(page))
    web.include_router(api_gate.asking(page), dependencies=[Depends(api.same_site(page))])
    web.include_router(people.routes(page, drawing), include_in_schema=False)
    web.include_router(
        posting.routes(posting.Posting(page, drawing, forms), actions), include_in_schema=False
    )
    web.include_router(badges.routes(page), include_in_schema=False)
    web.mount("/static", StaticFiles(directory=STATIC))
    people.add_errors(web, drawing)
    return web


def _for_machines(web: FastAPI, page: Page) -> None:
    @web.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(page.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @web.get("/-/healthy", include_in_schema=False)
    async def healthy(response: Response) -> dict[str, Any]:
        faults = page.faults()
        response.status_code = 503 if faults else 200
        return {"healthy": not faults, "faults": faults, "notes": page.working.notes()}
