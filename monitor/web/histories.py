"""What each page asks of the past: all at once, under one deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.alerting import Alert
from monitor.gate.runs import GateRun
from monitor.history import Bar, Deploy, Failure, Incident, Point
from monitor.web.page import Page, Snapshot
from monitor.web.past import DAY, DEFAULT, HEALTH, RANGES, Away, Question, Range, main_check

MOST_CHARTS = 10
"""Of open alerts, on the start page."""
RECENT = 7 * DAY
LONG = 30 * DAY
SHORT = 2700.0
MOST_FAILURES = 50
NOT_ASKED = Away("not asked for")


@dataclass(frozen=True, slots=True)
class Gathered:
    """`bars` by target and range, `points` by target and objective, `charted` how far back those go."""

    wanted: Range = DEFAULT
    charted: Mapping[tuple[str, str], Range] = field(default_factory=dict)
    bars: Mapping[tuple[str, str], list[Bar] | Away] = field(default_factory=dict)
    points: Mapping[tuple[str, str], list[Point] | Away] = field(default_factory=dict)
    incidents: list[Incident] | Away = NOT_ASKED
    deploys: list[Deploy] | Away = NOT_ASKED
    failures: list[Failure] | Away = NOT_ASKED
    gates: list[GateRun] | Away = NOT_ASKED

    @property
    def _lists(self) -> tuple[list[Any] | Away, ...]:
        return (self.incidents, self.deploys, self.failures, self.gates)

    @property
    def away(self) -> str:
        """Why something is missing."""
        every = (*self.bars.values(), *self.points.values(), *self._lists)
        return next((each.why for each in every if isinstance(each, Away) and each is not NOT_ASKED), "")


async def of_start(page: Page, snapshot: Snapshot, wanted: Range) -> Gathered:
    past, now = page.past, snapshot.now
    asked: dict[Any, Question[Any]] = {
        "incidents": past.incidents(now - RECENT, now),
        "deploys": past.deploys(now - RECENT, now),
        "gates": past.gates(now - RECENT, now),
    }
    charted = {(each.key.target, each.key.name): _around(each, now) for each in snapshot.alerts[:MOST_CHARTS]}
    for place, far in charted.items():
        asked["points", *place] = past.points(*place, far, now)
    for watched in snapshot.watched:
        name, check = watched.target.name, main_check(watched.target)
        asked["bars", name, wanted.key] = past.bars(name, check, wanted, now)
    return _sorted(await past.answers(asked), wanted, charted)


async def of_target(page: Page, snapshot: Snapshot, name: str, wanted: Range) -> Gathered:
    past, now = page.past, snapshot.now
    watched = snapshot.of(name)
    asked: dict[Any, Question[Any]] = {
        "incidents": past.incidents(now - LONG, now, name),
        "deploys": past.deploys(now - LONG, now, name),
        "failures": past.failures(name, MOST_FAILURES),
        "gates": past.gates(now - LONG, now, (watched.target.url,) if watched else ()),
    }
    charted = {(name, each.objective.name): wanted for each in watched.readings} if watched else {}
    for place in charted:
        asked["points", *place] = past.points(*place, wanted, now)
    for each in RANGES.values():
        check = main_check(watched.target) if watched else HEALTH
        asked["bars", name, each.key] = past.bars(name, check, each, now)
    return _sorted(await past.answers(asked), wanted, charted)


async def of_public(page: Page, snapshot: Snapshot) -> Gathered:
    wanted = RANGES["90d"]
    asked = {
        ("bars", each.target.name, wanted.key): page.past.bars(
            each.target.name, main_check(each.target), wanted, snapshot.now
        )
        for each in snapshot.watched
    }
    return _sorted(await page.past.answers(asked), wanted, {})


def _around(alert: Alert, now: float) -> Range:
    """So far back that one sees how it was before."""
    return RANGES["1h"] if now - alert.since < SHORT else RANGES["24h"]


def _sorted(answers: Mapping[Any, Any], wanted: Range, charted: Mapping[tuple[str, str], Range]) -> Gathered:
    def of_kind(kind: str) -> dict[tuple[str, str], Any]:
        return {(key[1], key[2]): found for key, found in answers.items() if key[0] == kind}

    return Gathered(
        wanted,
        charted,
        of_kind("bars"),
        of_kind("points"),
        *(answers.get(name, NOT_ASKED) for name in ("incidents", "deploys", "failures", "gates")),
    )
