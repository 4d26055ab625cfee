"""The JSON API, version 1. What it says of the present comes from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from monitor.asking import RefusedError
from monitor.web.actions import Actions, AwayError
from monitor.web.events import EventStream
from monitor.web.forms import check_origin
from monitor.web.page import Page, status
from monitor.web.shapes import AcknowledgementMade, Lasting, NewSilence, Problem, SilenceMade, Status

T = TypeVar("T")

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Nobody is known by these credentials"},
    403: {"description": "Sent by another site's page"},
    422: {"model": Problem, "description": "Makes no sense, and why"},
    503: {"model": Problem, "description": "The store is away"},
}


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

    @api.get("/silences", summary="Those that have not ended")
    async def silences() -> list[SilenceMade]:
        return [SilenceMade.model_validate(each) for each in page.quiet.silences(page.clock())]

    return api


def same_site(page: Page) -> Callable[[Request], None]:
    """JSON alone: another site's page can't make a browser send that without asking first."""

    def check(request: Request) -> None:
        check_origin(request, page.config.web.url)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "expected content-type: application/json")

    return check


def changes(page: Page, actions: Actions) -> APIRouter:
    depends = [Depends(same_site(page))]
    api = APIRouter(prefix="/api/v1", dependencies=depends, responses=REFUSALS)

    @api.post("/silences", status_code=201, summary="Measure on, and tell nobody")
    async def silence(request: Request, asked: NewSilence) -> SilenceMade:
        made = await _answered(actions.silence(asked.fields(), asked.author or _name(request)))
        return SilenceMade.model_validate(made)

    @api.delete("/silences/{number:int}", status_code=204, summary="End a silence now")
    async def end_silence(number: int) -> None:
        if not await _answered(actions.end_silence(number)):
            raise HTTPException(404, "no such silence is left")

    @api.put("/alerts/{dedup_key}/acknowledgement", summary="Say that somebody looks after it")
    async def acknowledge(request: Request, dedup_key: str, asked: Lasting) -> AcknowledgementMade:
        author = asked.author or _name(request)
        made = await _answered(actions.acknowledge(dedup_key, asked.fields(), author))
        return AcknowledgementMade.model_validate(made)

    @api.delete("/alerts/{dedup_key}/acknowledgement", status_code=204, summary="Take that back")
    async def take_back(dedup_key: str) -> None:
        if not await _answered(actions.take_back(dedup_key)):
            raise HTTPException(404, "nobody had acknowledged it")

    return api


def _name(request: Request) -> str:
    return str(request.scope["caller"].name)


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except RefusedError as error:
        raise HTTPException(422, f"{error.field}: {error}") from None
    except AwayError as error:
        raise HTTPException(503, str(error)) from None
