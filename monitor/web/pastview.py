"""What was, for the pages: incidents with their timelines, deploys, failures, bars and charts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

from monitor.config import Target
from monitor.gate.runs import GateRun, watched_name
from monitor.history import Deploy, Failure, Incident
from monitor.objectives import Objective
from monitor.quantity import format_duration
from monitor.web.histories import Gathered
from monitor.web.past import RANGES, Away
from monitor.web.standing import Standing, runbook_link
from monitor.web.timeline import Chart, Heartbeat, chart, heartbeat
from monitor.web.words import Moment, plain, roughly
from monitor.words import PHASES

MOST_EVENTS = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EventView:
    at: Moment
    what: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    number: int
    name: str
    target: str
    check: str
    title: str
    severity: str
    standing: Standing
    over: bool
    since: Moment
    fired: Moment
    ended: Moment | None
    lasted: str
    value: str
    threshold: str
    why: str
    runbook: str
    timeline: tuple[EventView, ...]


@dataclass(frozen=True, slots=True)
class DeployView:
    at: Moment
    target: str
    version: str
    commit: str
    before: str


@dataclass(frozen=True, slots=True)
class FailureView:
    at: Moment
    check: str
    reason: str
    detail: str
    took: str
    slowest: str


@dataclass(frozen=True, slots=True)
class GateView:
    """`name` of the target, "" for what the agent does not watch: `url` is all that is known of it."""

    number: int
    at: Moment
    name: str
    url: str
    profile: str
    standing: Standing
    word: str
    summary: str


@dataclass(frozen=True, slots=True)
class PastView:
    """`away`: why some of it is missing; empty when nothing is."""

    away: str
    incidents: tuple[IncidentView, ...]
    deploys: tuple[DeployView, ...]
    failures: tuple[FailureView, ...]
    gates: tuple[GateView, ...]


def past_view(gathered: Gathered, now: float, targets: Collection[Target]) -> PastView:
    """The newest first. Of incidents, those that are over: the others are alerts."""
    over = [each for each in _list(gathered.incidents) if each.resolved_at is not None]
    return PastView(
        away=plain(gathered.away),
        incidents=tuple(incident_view(each, now) for each in reversed(over)),
        deploys=tuple(_deploy_view(each, now) for each in reversed(_list(gathered.deploys))),
        failures=tuple(_failure_view(each, now) for each in _list(gathered.failures)),
        gates=tuple(_gate_view(each, now, targets) for each in _list(gathered.gates)),
    )


def _list(answer: list[T] | Away) -> list[T]:
    return [] if isinstance(answer, Away) else answer


def incident_view(incident: Incident, now: float) -> IncidentView:
    over = incident.resolved_at is not None
    loud = {"page": Standing.BROKEN, "ticket": Standing.DEGRADED}
    return IncidentView(
        number=incident.id,
        name=incident.key.name,
        target=incident.key.target,
        check=incident.key.check,
        title=plain(incident.title),
        severity=incident.severity,
        standing=Standing.GOOD if over else loud.get(incident.severity, Standing.WARNING),
        over=over,
        since=Moment(incident.since, now),
        fired=Moment(incident.fired_at, now),
        ended=None if incident.resolved_at is None else Moment(incident.resolved_at, now),
        lasted=roughly(incident.lasted(now)),
        value=plain(incident.value),
        threshold=plain(incident.threshold),
        why=plain(incident.reason),
        runbook=runbook_link(incident.runbook),
        timeline=tuple(events_of(incident, now)),
    )


def events_of(incident: Incident, now: float) -> Iterator[EventView]:
    """The first and the last of very many."""
    events = list(incident.timeline)
    if len(events) > MOST_EVENTS:
        events = [*events[: MOST_EVENTS // 2], *events[-MOST_EVENTS // 2 :]]
    return (EventView(Moment(event.at, now), plain(event.what)) for event in events)


def _deploy_view(deploy: Deploy, now: float) -> DeployView:
    return DeployView(
        Moment(deploy.at, now),
        deploy.target,
        plain(deploy.version, 60),
        plain(deploy.commit, 12),
        plain(deploy.before, 60),
    )


def _failure_view(failure: Failure, now: float) -> FailureView:
    phases = dict(zip(PHASES.values(), failure.phases, strict=True))
    slowest = max(phases, key=lambda name: phases[name])
    return FailureView(
        at=Moment(failure.at, now),
        check=failure.check,
        reason=plain(failure.reason, 40),
        detail=plain(failure.detail),
        took=format_duration(failure.duration),
        slowest=f"{slowest}: {format_duration(phases[slowest])}" if phases[slowest] else "",
    )


_GATES = {
    True: (Standing.GOOD, "Passed"),
    False: (Standing.BROKEN, "Failed"),
    None: (Standing.UNKNOWN, "Nobody knows"),
}


def _gate_view(run: GateRun, now: float, targets: Collection[Target]) -> GateView:
    standing, word = _GATES[run.passed]
    return GateView(
        number=run.id,
        at=Moment(run.at, now),
        name=watched_name(run.target, targets),
        url=plain(run.target, 100),
        profile=plain(run.profile, 40),
        standing=standing,
        word=word,
        summary=plain(run.summary),
    )


def chart_of(gathered: Gathered, objective: Objective, target: str, now: float) -> Chart | None:
    found = gathered.points.get((target, objective.name))
    if found is None or isinstance(found, Away):
        return None
    marks = [each.at for each in _list(gathered.deploys) if each.target == target]
    return chart(found, objective.breach, gathered.charted[target, objective.name], now, marks)


def heartbeats(gathered: Gathered, target: str, check: str, now: float) -> tuple[Heartbeat, ...]:
    """In every range that was asked for and answered, the shortest first."""
    made = []
    for wanted in reversed(RANGES.values()):
        found = gathered.bars.get((target, wanted.key))
        if found is not None and not isinstance(found, Away):
            made.append(heartbeat(found, wanted, now, check))
    return tuple(made)
