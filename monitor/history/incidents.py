"""Alerts from firing to resolved, one row each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import sqlalchemy as sa

from monitor.alerting import Alert, Key, State
from monitor.history.numbers import chunks
from monitor.history.tables import incidents, outbox, transitions

TOLD = {"waiting": "waiting to tell", "delivered": "told", "dead": "could not tell"}


class Event(NamedTuple):
    at: float
    what: str


@dataclass(frozen=True, slots=True)
class Incident:
    """`value`, `threshold` and `reason` are those of the moment in which it fired; `since` is when the breach
    began. `resolved_at` is None while it goes on."""

    id: int
    key: Key
    severity: str
    title: str
    since: float
    fired_at: float
    resolved_at: float | None
    reason: str
    value: str
    threshold: str
    runbook: str
    timeline: tuple[Event, ...]

    def lasted(self, now: float) -> float:
        """Seconds; 0 where a clock that was set back says less."""
        return max(0.0, (now if self.resolved_at is None else self.resolved_at) - self.since)


def add_changes(
    connection: sa.Connection, changed: Iterable[Alert], dedup_keys: Mapping[Key, str] = MappingProxyType({})
) -> None:
    """What began to fire, and what was resolved; `dedup_keys` of the conversations about them."""
    for alert in changed:
        if alert.state is State.RESOLVED:
            _resolve(connection, alert, dedup_keys)
        else:
            connection.execute(incidents.insert().values(**_row(alert, dedup_keys)))


def _resolve(connection: sa.Connection, alert: Alert, dedup_keys: Mapping[Key, str]) -> None:
    is_it = [incidents.c[name] == value for name, value in alert.key._asdict().items()]
    resolved = incidents.update().where(*is_it, incidents.c.resolved_at.is_(None))
    if not connection.execute(resolved.values(resolved_at=alert.resolved_at)).rowcount:
        connection.execute(incidents.insert().values(**_row(alert, dedup_keys)))


def add_past(connection: sa.Connection) -> None:
    """From the transitions of a store that had no incidents."""
    query = sa.select(transitions.c.alert).order_by(transitions.c.id)
    add_changes(connection, [alert_of(row.alert) for row in connection.execute(query).all()])


def overlapping(
    connection: sa.Connection, since: float, until: float, target: str | None = None
) -> Iterator[Incident]:
    """Those that fired before `until` and did not end before `since`, the first one first."""
    columns = incidents.c
    query = (
        sa.select(incidents)
        .where(columns.fired_at < until, sa.or_(columns.resolved_at.is_(None), columns.resolved_at > since))
        .order_by(columns.fired_at, columns.id)
    )
    if target is not None:
        query = query.where(columns.target == target)
    rows = connection.execute(query).all()
    told = _told(connection, {row.dedup_key for row in rows})
    for row in rows:
        yield _incident(row, told.get(row.dedup_key, []))


def by_id(connection: sa.Connection, number: int) -> Incident | None:
    row = connection.execute(sa.select(incidents).where(incidents.c.id == number)).one_or_none()
    if row is None:
        return None
    return _incident(row, _told(connection, {row.dedup_key}).get(row.dedup_key, []))


def _told(connection: sa.Connection, dedup_keys: set[str]) -> dict[str, list[Event]]:
    """What became of the messages, by the key of their conversation."""
    found: dict[str, list[Event]] = {}
    for some in chunks(sorted(dedup_keys - {""})):
        query = sa.select(outbox).where(outbox.c.dedup_key.in_(some)).order_by(outbox.c.id)
        for row in connection.execute(query):
            at = row.created_at if row.ended_at is None else row.ended_at
            found.setdefault(row.dedup_key, []).append(Event(at, f"{TOLD[row.state]} {row.notifier}"))
    return found


def _incident(row: Any, told: Iterable[Event]) -> Incident:
    alert = alert_of(row.alert)
    timeline = sorted((*_events(alert, row.fired_at, row.resolved_at), *told), key=lambda event: event.at)
    return Incident(
        id=row.id,
        key=alert.key,
        severity=alert.severity,
        title=alert.title,
        since=alert.since,
        fired_at=row.fired_at,
        resolved_at=row.resolved_at,
        reason=alert.reason,
        value=alert.value,
        threshold=alert.threshold,
        runbook=alert.runbook,
        timeline=tuple(timeline),
    )


def _events(alert: Alert, fired_at: float, resolved_at: float | None) -> Iterator[Event]:
    yield Event(alert.since, f"began: {alert.reason}")
    yield Event(fired_at, f"fired: {alert.value} (alert when {alert.threshold})")
    if resolved_at is not None:
        yield Event(resolved_at, "resolved")


def _row(alert: Alert, dedup_keys: Mapping[Key, str]) -> dict[str, Any]:
    fired_at = alert.since if alert.fired_at is None else alert.fired_at
    return {
        **alert.key._asdict(),
        "fired_at": fired_at,
        "resolved_at": alert.resolved_at,
        "dedup_key": dedup_keys.get(alert.key, ""),
        "alert": alert_json(alert),
    }


def alert_json(alert: Alert) -> str:
    return json.dumps(dataclasses.asdict(alert))


def alert_of(text: str) -> Alert:
    fields = json.loads(text)
    return Alert(**{**fields, "key": Key(*fields["key"]), "state": State(fields["state"])})
