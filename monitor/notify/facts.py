"""What a page says beside its alert: the slowest phase, the last good result, what else is wrong, the deploy.

Kept from the cycles of this process alone, so it costs no I/O, and is gone after a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from exporters.http import Phases
from monitor.alerting import NO_DATA, Alert
from monitor.deploys import Deploys
from monitor.history import Deploy
from monitor.judge import Reading, Verdict
from monitor.links import NO_LINKS, Links
from monitor.notify.page import moment
from monitor.probes import Outcome
from monitor.quantity import format_duration, format_value
from monitor.words import PHASES

MOST_ALSO = 6
SHORTEST_PHASE = 0.01
"""Seconds; below that no phase explains anything."""
LOOK_BACK, LOOK_EVERY = 900.0, 60.0
"""Seconds over which a value is seen to rise, and between two of the points that are kept for that."""
RISEN, NEAR = 0.1, 0.7
"""Shares of the limit: it went up by so much, and is past so much."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Sentences for one page; "" where nothing is known. `at`, when they were gathered, is in seconds since
    the epoch.

    `note` is a sentence about why this is said now: who has acknowledged, how often it flapped.
    """

    at: float
    phase: str = ""
    last_good: str = ""
    also: tuple[str, ...] = ()
    deploy: str = ""
    note: str = ""
    links: Links = NO_LINKS


@dataclass(slots=True)
class _Seen:
    """Of one target."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    answered: dict[str, tuple[float, str]] = field(default_factory=dict)
    good: dict[str, tuple[float, str]] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    values: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)


class FactBook:
    def __init__(self, links: Links = NO_LINKS, deploys: Deploys | None = None) -> None:
        self.links, self.deploys = links, deploys or Deploys()
        self._seen: dict[str, _Seen] = {}

    def observe(
        self, target: str, outcomes: Iterable[Outcome], readings: Iterable[Reading], now: float
    ) -> None:
        """One cycle of one target."""
        seen = self._seen.setdefault(target, _Seen())
        for outcome in outcomes:
            seen.outcomes[outcome.check] = outcome
            if outcome.success:
                seen.answered[outcome.check] = (now, outcome.detail)
        for reading in readings:
            name = reading.objective.name
            seen.readings[name] = reading
            if reading.verdict in (Verdict.OK, Verdict.WARN):
                seen.good[name] = (now, reading.value_text)
            if reading.value is not None:
                _keep(seen.values.setdefault(name, deque()), now, reading.value)

    def forget(self, target: str) -> None:
        self._seen.pop(target, None)
        self.deploys.forget(target)

    def forget_check(self, target: str, check: str) -> None:
        if seen := self._seen.get(target):
            for kept in (seen.outcomes, seen.answered):
                kept.pop(check, None)

    def forget_objective(self, name: str) -> None:
        for seen in self._seen.values():
            for kept in (seen.good, seen.readings, seen.values):
                kept.pop(name, None)

    def about(self, alert: Alert, now: float) -> Facts:
        seen = self._seen.get(alert.key.target, _Seen())
        return Facts(
            at=now,
            phase=_slowest_phase(seen.outcomes.get(alert.key.check)),
            last_good=_last_good(seen, alert, now),
            also=tuple(_also(seen, alert))[:MOST_ALSO],
            deploy=_deployed(self.deploys.latest(alert.key.target), alert, now),
            links=self.links,
        )


def _keep(points: deque[tuple[float, float]], now: float, value: float) -> None:
    if not points or now - points[-1][0] >= LOOK_EVERY:
        points.append((now, value))
    while points[0][0] < now - LOOK_BACK:
        points.popleft()


def _slowest_phase(outcome: Outcome | None) -> str:
    """Of a probe that failed, or whose speed is what counts."""
    if outcome is None:
        return ""
    timed = any(sample.name == "probe_last_duration_seconds" for sample in outcome.samples)
    lengths = {each.name: getattr(outcome.result.phases, each.name) for each in fields(Phases)}
    name = max(lengths, key=lambda phase: lengths[phase])
    if (outcome.success and not timed) or lengths[name] < SHORTEST_PHASE:
        return ""
    took, whole = format_value(lengths[name], "seconds"), format_value(outcome.result.duration, "seconds")
    return f"{PHASES[name]}: {took} of {whole}"


def _last_good(seen: _Seen, alert: Alert, now: float) -> str:
    """What the check brought last before it failed; else the last reading on the right side of the limit."""
    outcome, check = seen.outcomes.get(alert.key.check), alert.key.check
    failing = alert.key.name == NO_DATA or (outcome is not None and not outcome.success)
    found = seen.answered.get(check) if failing else seen.good.get(alert.key.name)
    if found is None:
        return ""
    at, said = found
    return f"{said} at {moment(at, now)}, {format_duration(float(round(now - at)))} ago"


def _deployed(deploy: Deploy | None, alert: Alert, now: float) -> str:
    if deploy is None:
        return ""
    commit = f", commit {deploy.commit[:12]}" if deploy.commit else ""
    if not deploy.before:
        return f"{deploy.version}{commit}, no other is known"
    apart = format_duration(float(round(abs(alert.since - deploy.at))))
    when = f"{apart} {'before' if deploy.at <= alert.since else 'after'} it began"
    return f"{deploy.version}{commit}, in place of {deploy.before}, since {moment(deploy.at, now)}, {when}"


def _also(seen: _Seen, alert: Alert) -> Iterator[str]:
    """The worst first."""
    others = [each for name, each in seen.readings.items() if name != alert.key.name]
    for check, outcome in seen.outcomes.items():
        if not outcome.success and check != alert.key.check:
            yield f"{check} check: {outcome.reason}: {outcome.detail}"
    for verdict in (Verdict.BREACH, Verdict.WARN):
        for reading in others:
            if reading.verdict is verdict:
                yield _said(reading)
    for reading in others:
        if reading.verdict is Verdict.OK and (
            before := _rising(reading, seen.values[reading.objective.name])
        ):
            yield f"{_said(reading)}, rising: {before}"


def _said(reading: Reading) -> str:
    breach = reading.objective.breach
    return f"{reading.objective.title}: {reading.value_text} (alert when {breach})"


def _rising(reading: Reading, points: deque[tuple[float, float]]) -> str:
    """What it was, when it has gone a good part of the way to its limit since."""
    breach, value = reading.objective.breach, reading.value
    at, before = points[0]
    if value is None or not breach.high_is_bad or breach.value <= 0 or value < NEAR * breach.value:
        return ""
    if value - before < RISEN * breach.value:
        return ""
    return f"{breach.shown(before)} {format_duration(float(round(reading.at - at)))} ago"
