"""The JSON API, version 1. What it says of the present comes from memory."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response, StreamingResponse

from monitor.web.events import EventStream
from monitor.web.page import Page, status
from monitor.web.shapes import Status


def routes(page: Page) -> APIRouter:
    api = APIRouter(prefix="/api/v1")

    @api.get(
        "/status", summary="Targets, objectives and alerts as they stand", responses={200: {"model": Status}}
    )
    async def now() -> Response:
        snapshot = page.snapshot()
        return JSONResponse(await asyncio.to_thread(status, snapshot))

    @api.get(
        "/events",
        summary="Server-sent events: `changed` when a state did",
        response_class=StreamingResponse,
    )
    async def events() -> Response:
        return EventStream.for_one_more(page)

    return api
