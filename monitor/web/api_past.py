"""The past in JSON: bars, values of objectives, incidents, failures, deploys."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from monitor.web.actions import LARGEST_ID
from monitor.web.page import Page, Watched
from monitor.web.past import DAY, RANGES, Away, Question, main_check
from monitor.web.shapes import BarMade, DeployMade, FailureMade, IncidentMade, PointMade, Problem

T = TypeVar("T")

Far = Annotated[Literal["1h", "24h", "90d"], Query(alias="range", description="How far back, up to now")]
Days = Annotated[float, Query(gt=0, le=400, description="How many days back")]
MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such thing"},
    422: {"model": Problem, "description": "Makes no sense, and why"},
    503: {"model": Problem, "description": "The store is away"},
}


def routes(page: Page) -> APIRouter:
    api = APIRouter(prefix="/api/v1", responses=MISSING)
    past = page.past

    @api.get("/targets/{name}/bars", summary="Probes of the check that says whether the target is up")
    async def bars(name: str, far: Far = "24h") -> list[BarMade]:
        check = main_check(_watched(page, name).target)
        found = await _answered(page, past.bars(name, check, RANGES[far], page.clock()))
        return [BarMade.model_validate(each) for each in found]

    @api.get("/targets/{name}/objectives/{objective}", summary="What an objective read")
    async def points(name: str, objective: str, far: Far = "24h") -> list[PointMade]:
        if objective not in {each.objective.name for each in _watched(page, name).readings}:
            raise HTTPException(404, f"{name[:80]} is not judged by {objective[:80]!r}")
        found = await _answered(page, past.points(name, objective, RANGES[far], page.clock()))
        return [PointMade.of(each) for each in found]

    @api.get("/targets/{name}/failures", summary="The last failed probes, the newest first")
    async def failures(name: str, most: Annotated[int, Query(ge=1, le=200)] = 50) -> list[FailureMade]:
        _watched(page, name)
        return [FailureMade.of(each) for each in await _answered(page, past.failures(name, most))]

    _of_all(api, page)
    return api


def _of_all(api: APIRouter, page: Page) -> None:
    past = page.past

    @api.get("/incidents", summary="Alerts that fired, the oldest first, those that go on included")
    async def incidents(days: Days = 7, target: str | None = None) -> list[IncidentMade]:
        now = page.clock()
        found = await _answered(page, past.incidents(now - days * DAY, now, target))
        return [IncidentMade.of(each) for each in found]

    @api.get("/incidents/{number:int}", summary="One of them, with its timeline")
    async def incident(number: int) -> IncidentMade:
        found = await _answered(page, past.incident(number)) if number <= LARGEST_ID else None
        if found is None:
            raise HTTPException(404, f"there is no incident {number}")
        return IncidentMade.of(found)

    @api.get("/deploys", summary="Versions that targets were seen with, the oldest first")
    async def deploys(days: Days = 7, target: str | None = None) -> list[DeployMade]:
        now = page.clock()
        found = await _answered(page, past.deploys(now - days * DAY, now, target))
        return [DeployMade(**each._asdict()) for each in found]


def _watched(page: Page, name: str) -> Watched:
    found = page.snapshot().of(name)
    if found is None:
        raise HTTPException(404, f"there is no target {name[:80]!r}")
    return found


async def _answered(page: Page, question: Question[T]) -> T:
    found = await page.past.answer(question)
    if isinstance(found, Away):
        raise HTTPException(503, f"history is not available: {found.why}")
    return found
