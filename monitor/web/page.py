"""What the agent holds in mind, taken in one moment on its event loop, for everybody who reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.alerting import Alert
from monitor.config import Config, Target
from monitor.conversations import Conversation
from monitor.cycle import Cycle
from monitor.gate.hook import Hook
from monitor.judge import Reading, Verdict
from monitor.maintenance import Window
from monitor.metrics import AgentMetrics
from monitor.notify.facts import Facts
from monitor.probes import Outcome
from monitor.quantity import format_duration
from monitor.quiet import Quiet
from monitor.silences import Acknowledgement, Silence
from monitor.web.changes import Changes
from monitor.web.past import Past
from monitor.working import LATE_AFTER_INTERVALS, Working


@dataclass(frozen=True, slots=True)
class Watched:
    """One target: what its checks brought last, how often each has failed in a row, and what that means."""

    target: Target
    outcomes: dict[str, Outcome]
    failures: dict[str, int]
    readings: tuple[Reading, ...]
    last_good: dict[str, float]
    """When each check last brought data."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known about one alert beside itself. `conversation` is None while it is pending."""

    alert: Alert
    facts: Facts
    conversation: Conversation | None
    acknowledged: Acknowledgement | None
    withheld: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`now` in seconds since the epoch; nothing in here changes any more, so that a thread may read it."""

    now: float
    watched: tuple[Watched, ...]
    told: tuple[Told, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    shortened: float
    silences: tuple[Silence, ...]
    windows: tuple[Window, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(each.alert for each in self.told)

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(each.target for each in self.watched)

    def of(self, name: str) -> Watched | None:
        return next((each for each in self.watched if each.target.name == name), None)


@dataclass(frozen=True, slots=True)
class Page:
    cycle: Cycle
    metrics: AgentMetrics
    clock: Callable[[], float]
    quiet: Quiet
    past: Past
    working: Working
    gate: Hook
    changes: Changes = field(default_factory=Changes)

    @property
    def config(self) -> Config:
        return self.cycle.config

    def faults(self) -> list[str]:
        """Why the agent is not working as it should; empty when it is."""
        return self.working.faults()

    def snapshot(self) -> Snapshot:
        now = self.clock()
        return Snapshot(
            now,
            tuple(self._watched(target, now) for target in self.config.targets),
            tuple(self._told(now)),
            tuple(self.faults()),
            tuple(self.working.notes()),
            self.config.shorten_windows,
            tuple(self.quiet.silences(now)),
            tuple(each for each in self.quiet.windows() if each.during(now)),
        )

    def _told(self, now: float) -> Iterator[Told]:
        conversations = self.cycle.dispatch.conversations
        for key, alert in self.cycle.alerting.alerts.items():
            found = conversations.get(key)
            conversation = found if found and found.open else None
            yield Told(
                alert,
                self.cycle.facts.about(alert, now),
                conversation,
                self.quiet.acknowledged(conversation.dedup_key, now) if conversation else None,
                self.quiet.withheld(alert, key.target, now)
                or (conversation.withheld if conversation else ""),
            )

    def _watched(self, target: Target, now: float) -> Watched:
        condition = self.cycle.conditions[target.name]
        seen = ((check.name, self.cycle.memory.last_good(target.name, check.name)) for check in target.checks)
        return Watched(
            target,
            dict(condition.outcomes),
            condition.failures,
            tuple(_still_true(condition.readings, target, now)),
            {check: at for check, at in seen if at is not None},
        )

    def status(self) -> dict[str, Any]:
        """Targets, objectives and alerts as they stand; times in seconds since the epoch."""
        return status(self.snapshot())


def _still_true(readings: list[Reading], target: Target, now: float) -> Iterator[Reading]:
    """What was good when the agent last looked says nothing once it has stopped looking."""
    for reading in readings:
        age = now - reading.at
        if abs(age) <= LATE_AFTER_INTERVALS * target.interval:
            yield reading
        else:
            why = f"not judged for {format_duration(abs(age))}: the agent does not get round to it"
            yield replace(reading, verdict=Verdict.UNKNOWN, value=None, why=why, blind=True)


def status(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "now": snapshot.now,
        "windows_shortened": snapshot.shortened,
        "faults": list(snapshot.faults),
        "targets": [target_status(watched) for watched in snapshot.watched],
        "objectives": [objective_status(reading) for each in snapshot.watched for reading in each.readings],
        "alerts": [alert_status(told) for told in snapshot.told],
    }


def target_status(watched: Watched) -> dict[str, Any]:
    return {
        "name": watched.target.name,
        "url": watched.target.url,
        "interval": watched.target.interval,
        "checks": [
            {
                "name": name,
                "reason": str(outcome.reason),
                "detail": outcome.detail,
                "duration": outcome.result.duration,
                "failures": watched.failures.get(name, 0),
                "last_data_at": watched.last_good.get(name),
            }
            for name, outcome in watched.outcomes.items()
        ],
    }


def objective_status(reading: Reading) -> dict[str, Any]:
    objective = reading.objective
    return {
        "name": objective.name,
        "title": objective.title,
        "target": reading.target,
        "severity": objective.severity,
        "verdict": str(reading.verdict),
        "value": reading.value if reading.value is not None and math.isfinite(reading.value) else None,
        "value_text": reading.value_text,
        "threshold": str(objective.breach),
        "why": reading.why,
        "at": reading.at,
    }


def alert_status(told: Told) -> dict[str, Any]:
    alert = told.alert
    return {
        **alert.key._asdict(),
        "state": str(alert.state),
        "since": alert.since,
        "severity": alert.severity,
        "title": alert.title,
        "value": alert.value,
        "threshold": alert.threshold,
        "reason": alert.reason,
        "runbook": alert.runbook,
        "dedup_key": told.conversation.dedup_key if told.conversation else None,
        "acknowledged_by": told.acknowledged.author if told.acknowledged else None,
        "withheld": told.withheld or None,
    }
