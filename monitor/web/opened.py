"""Alerts that are pending or firing, with all that answers what one asks at 3 a.m."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitor.alerting import NO_DATA, Alert, State
from monitor.history import Incident
from monitor.notify.page import Answer
from monitor.notify.runbooks import first_step
from monitor.objectives import Objective
from monitor.quantity import format_duration
from monitor.web.histories import Gathered
from monitor.web.page import Snapshot, Told
from monitor.web.past import Away
from monitor.web.pastview import EventView, chart_of, events_of
from monitor.web.standing import Standing, importance, runbook_link
from monitor.web.timeline import Chart
from monitor.web.words import Moment, plain

NOTHING = Gathered()


@dataclass(frozen=True, slots=True)
class AlertView:
    """`ident` names it in the page; `wait`: when a pending one will fire; `linked`: its target has a page."""

    ident: str
    dedup_key: str
    name: str
    target: str
    check: str
    title: str
    severity: str
    standing: Standing
    firing: bool
    value: str
    threshold: str
    why: str
    since: Moment
    last_data: Moment | None
    wait: str
    facts: tuple[Answer, ...]
    first_step: str
    acknowledged: str
    withheld: str
    flapping: str
    runbook: str
    linked: bool
    incident: int | None
    timeline: tuple[EventView, ...]
    chart: Chart | None


def alert_views(snapshot: Snapshot, gathered: Gathered = NOTHING) -> list[AlertView]:
    """Those that fire first, the loudest and oldest of them before the others; last, what nobody is told."""
    waits = {
        (reading.target, reading.objective.name): reading.objective
        for watched in snapshot.watched
        for reading in watched.readings
    }
    ordered = sorted(
        snapshot.told, key=lambda each: (not each.withheld, importance(each.alert)), reverse=True
    )
    return [
        _alert_view(told, snapshot, waits.get((told.alert.key.target, told.alert.key.name)), gathered)
        for told in ordered
    ]


def _alert_view(told: Told, snapshot: Snapshot, objective: Objective | None, gathered: Gathered) -> AlertView:
    alert = told.alert
    incident = _incident_of(alert, gathered)
    firing = alert.state is State.FIRING
    watched = snapshot.of(alert.key.target)
    last_data = watched.last_good.get(alert.key.check) if watched else None
    return AlertView(
        ident="-".join(alert.key),
        dedup_key=told.conversation.dedup_key if told.conversation else "",
        name=alert.key.name,
        target=alert.key.target,
        check=alert.key.check,
        title=plain(alert.title),
        severity=alert.severity,
        standing=_alert_standing(alert) if firing else Standing.PENDING,
        firing=firing,
        value=plain(alert.value),
        threshold=plain(alert.threshold),
        why=plain(alert.reason),
        since=Moment(alert.since, snapshot.now),
        last_data=None if last_data is None else Moment(last_data, snapshot.now),
        wait=_wait(alert, objective, snapshot.now) if objective and not firing else "",
        facts=tuple(_facts(told, snapshot)),
        first_step=plain(first_step(alert.runbook).replace("`", "")),
        acknowledged=_acknowledged(told),
        withheld=plain(told.withheld),
        flapping=_flapping(told, snapshot.now),
        runbook=runbook_link(alert.runbook),
        linked=watched is not None,
        incident=incident.id if incident else None,
        timeline=tuple(events_of(incident, snapshot.now)) if incident else (),
        chart=chart_of(gathered, objective, alert.key.target, snapshot.now) if objective else None,
    )


def _incident_of(alert: Alert, gathered: Gathered) -> Incident | None:
    if isinstance(gathered.incidents, Away):
        return None
    same = (each for each in gathered.incidents if each.key == alert.key and each.resolved_at is None)
    return next(same, None)


def _facts(told: Told, snapshot: Snapshot) -> Iterator[Answer]:
    facts, now = told.facts, snapshot.now
    said = [
        ("Slowest phase", facts.phase),
        ("Last good", facts.last_good),
        *(("Also wrong", each) for each in facts.also),
        *(("Explains", each) for each in _explained(told.alert, snapshot)),
        ("Deploy", facts.deploy),
    ]
    if (conversation := told.conversation) is not None:
        heard = [f"{name} {Moment(at, now).ago}" for name, at in conversation.told.items()]
        said.append(("Told", ", ".join(heard) or ("" if told.withheld else "nobody yet")))
    return (Answer(label, plain(text)) for label, text in said if text)


def _acknowledged(told: Told) -> str:
    found = told.acknowledged
    return plain(f"{found.author} looks after it: {found.reason}") if found else ""


def _explained(alert: Alert, snapshot: Snapshot) -> Iterator[str]:
    """What nobody is told, since this one's target seems to be to blame."""
    for each in snapshot.told:
        if each.conversation and each.withheld and each.conversation.explained_by == alert.key.target:
            yield f"{each.alert.key.target}: {each.alert.title}"


def _flapping(told: Told, now: float) -> str:
    since = told.conversation.flapping_since if told.conversation else None
    return "" if since is None else f"for {Moment(since, now).lasting}"


def _alert_standing(alert: Alert) -> Standing:
    if alert.key.name == NO_DATA:
        return Standing.UNKNOWN
    return {"page": Standing.BROKEN, "ticket": Standing.DEGRADED}.get(alert.severity, Standing.WARNING)


def _wait(alert: Alert, objective: Objective, now: float) -> str:
    left = alert.since + objective.for_ - now
    verb = {"page": "pages", "ticket": "opens a ticket"}.get(alert.severity, "is told")
    return f"{verb} in {format_duration(max(1.0, round(left)))} unless it ends" if left > 0 else "held back"
