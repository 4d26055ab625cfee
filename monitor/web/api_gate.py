"""The release gate, for deploy hooks and scripts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from monitor.gate.hook import BusyError, Hook
from monitor.gate.runs import GateRun
from monitor.mistakes import did_you_mean
from monitor.web.actions import LARGEST_ID
from monitor.web.api import REFUSALS as COMMON
from monitor.web.page import Page
from monitor.web.past import DAY, Away, Question
from monitor.web.shapes import Problem

REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "No such target"},
    409: {"model": Problem, "description": "A gate runs already"},
}


class NewGate(BaseModel):
    target: str = Field(max_length=100, description="The name of a target of the agent")
    profile: str = Field("post-deploy", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")


class GateStarted(BaseModel):
    target: str
    profile: str
    runs: str = Field(description="Where its result will be found")


class GateRunMade(BaseModel):
    id: int
    at: float
    ended: float
    target: str = Field(description="The name of a target of the agent, or a URL")
    profile: str
    exit: int = Field(description="0 passed, 1 failed, 3 inconclusive, 4 unreachable, 5 error")
    passed: bool | None = Field(description="null: nobody knows")
    summary: str


class Gates(BaseModel):
    running: bool
    error: str = Field(description="Why the last one that was asked for left no report")
    runs: list[GateRunMade] = Field(description="The newest first")


def reading(page: Page) -> APIRouter:
    hook = page.gate
    api = APIRouter(prefix="/api/v1")

    @api.get("/gate", summary="Runs of the release gate within 30 days")
    async def gates() -> Gates:
        found = await _answer(page, page.past.gates(page.clock() - 30 * DAY, page.clock()))
        return Gates(running=hook.busy, error=hook.error, runs=[_made(each, hook) for each in found])

    @api.get("/gate/{number:int}", summary="The whole report of a run", response_class=Response)
    async def report(number: int) -> Response:
        found = await _answer(page, page.past.gate_report(number)) if number <= LARGEST_ID else None
        if found is None:
            raise HTTPException(404, f"there is no run {number}")
        return Response(found, media_type="application/json")

    return api


def asking(page: Page) -> APIRouter:
    """`/api/gate`: an address without a version, for hooks that are set up once and forgotten."""
    hook = page.gate
    api = APIRouter(responses={**COMMON, **REFUSALS})

    @api.post("/api/gate", status_code=202, include_in_schema=False)
    @api.post("/api/v1/gate", status_code=202, summary="Run the release gate on a target; one at a time")
    async def ask(asked: NewGate) -> GateStarted:
        try:
            hook.start(asked.target, asked.profile)
        except KeyError:
            cure = did_you_mean(asked.target, hook.targets)
            raise HTTPException(404, f"there is no target {asked.target!r}{cure}") from None
        except BusyError:
            raise HTTPException(409, "a gate runs already; one at a time") from None
        return GateStarted(target=asked.target, profile=asked.profile, runs="/api/v1/gate")

    return api


def _made(run: GateRun, hook: Hook) -> GateRunMade:
    return GateRunMade(**{**run._asdict(), "target": hook.name(run.target), "passed": run.passed})


async def _answer(page: Page, question: Question[Any]) -> Any:
    found = await page.past.answer(question)
    if isinstance(found, Away):
        raise HTTPException(503, f"history is not available: {found.why}")
    return found
