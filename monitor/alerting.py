"""Turns readings into alerts (pending, firing, resolved) and says only what changed.

An alert belongs to an objective, a target and the check that feeds it. UNKNOWN neither fires nor resolves it.
Data that stays away has an alert of its own, one per target and check, however many objectives it blinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from monitor.judge import Reading, Verdict
from monitor.objectives import Objective
from monitor.quantity import format_duration

NO_DATA = "no-data"
NO_LONGER_WATCHED = "it is no longer watched"
NO_DATA_RUNBOOK = "docs/runbooks/no-data.md"
LOUDNESS = ("info", "ticket", "page")
OWN = "monitor"
"""The target of alerts about the agent itself."""
UNSENT = "notifications-failing"


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Key(NamedTuple):
    name: str
    target: str
    check: str


@dataclass(frozen=True, slots=True)
class Alert:
    """`since` is when the breach began, `last_broken` when it was last seen (seconds since the epoch).

    `good_results`: how many readings in a row were good since. `good_since`: from when on they were enough;
    None before, and while the last one was broken or unknown.
    """

    key: Key
    state: State
    since: float
    last_broken: float
    severity: str
    title: str
    value: str
    threshold: str
    reason: str
    runbook: str
    fired_at: float | None = None
    resolved_at: float | None = None
    good_since: float | None = None
    good_results: int = 0


class Condition(NamedTuple):
    """What an alert is decided from, whether an objective's verdict or the lack of data."""

    alert: Alert
    """As it would look if it began now."""
    broken: bool | None
    """None: nobody knows."""
    wait: float
    keep_firing: float
    cleared: bool = True
    """Whether what is not broken is good enough to end what fires."""
    good_results: int = 1
    """It takes so many in a row, the last ones of which are `fresh`."""
    fresh: bool = True


class Alerting:
    """The alerts of all targets. `advance` is the only thing that changes them, and time is its argument."""

    def __init__(self, alerts: Iterable[Alert] = ()) -> None:
        self._standing: dict[str, dict[Key, Alert]] = {}
        self._blind_since: dict[Key, float] = {}
        self._ended: dict[Key, float] = {}
        self.restore(alerts)

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Takes up where an earlier process stopped: what stood stands, what was resolved still holds off.

        Of a target that has been judged here already, only what fires is news; what fires here, too, does so
        for longer.
        """
        judged = frozenset(self._standing)
        for alert in alerts:
            key = alert.key
            if alert.resolved_at is not None:
                self._ended[key] = max(alert.resolved_at, self._ended.get(key, alert.resolved_at))
            elif key.target not in judged or alert.state is State.FIRING:
                standing = self._standing.setdefault(key.target, {})
                here = standing.get(key)
                fires = here is not None and here.state is State.FIRING
                standing[key] = replace(here, since=min(here.since, alert.since)) if here and fires else alert

    def of(self, target: str) -> list[Alert]:
        """Those of one target that are pending or firing."""
        return list(self._standing.get(target, {}).values())

    def firing(self, target: str, names: Collection[str]) -> bool:
        """Whether one of these fires about the target."""
        return any(alert.state is State.FIRING and alert.key.name in names for alert in self.of(target))

    def forget_after(self, target: str, now: float) -> None:
        """The clock was set back: nothing that stands began, ended or was seen later than now."""
        for key, alert in self._standing.get(target, {}).items():
            self._standing[target][key] = replace(
                alert,
                since=min(alert.since, now),
                last_broken=min(alert.last_broken, now),
                fired_at=alert.fired_at and min(alert.fired_at, now),
                good_since=None,
            )
        for key, ended in self._ended.items():
            if key.target == target:
                self._ended[key] = min(ended, now)

    def keep(self, watched: Callable[[Key], bool]) -> list[Alert]:
        """Only these are decided from now on; what stood of all others."""
        gone = [alert for key, alert in self.alerts.items() if not watched(key)]
        for alert in gone:
            del self._standing[alert.key.target][alert.key]
        self._standing = {target: standing for target, standing in self._standing.items() if standing}
        self._blind_since = {key: at for key, at in self._blind_since.items() if watched(key)}
        self._ended = {key: at for key, at in self._ended.items() if watched(key)}
        return gone

    def restate(self, objectives: Iterable[Objective]) -> None:
        """What stands is said in the words of these; whether it still stands is decided at the next look."""
        said = {(each.name, each.check): each for each in objectives}
        for standing in self._standing.values():
            for key, alert in standing.items():
                if now := said.get((key.name, key.check)):
                    standing[key] = replace(
                        alert,
                        severity=now.severity,
                        title=now.title,
                        threshold=str(now.breach),
                        runbook=now.runbook,
                    )

    @property
    def alerts(self) -> dict[Key, Alert]:
        """Those of all targets."""
        return {key: alert for standing in self._standing.values() for key, alert in standing.items()}

    def advance(self, readings: Iterable[Reading], now: float) -> list[Alert]:
        """The alerts that began to fire or were resolved. Inhibitors are decided before what they inhibit."""
        readings = _inhibitors_first(list(readings))
        by_name = {(reading.target, reading.objective.name): reading for reading in readings}
        changed: list[Alert] = []
        inhibited = set()
        for reading in readings:
            key, lingers = _key(reading), reading.objective.sli.lingers
            if any(self._silences(_key(each), lingers, now) for each in _inhibitors(reading, by_name)):
                inhibited.add(key)
            if reading.verdict is Verdict.BREACH or self._stands(key):
                changed += self._decide(_condition(reading), now, hold=key in inhibited)
        for condition in self._blindness(readings, inhibited, now):
            changed += self._decide(condition, now)
        return changed

    def advance_own(self, conditions: Iterable[Condition], now: float) -> list[Alert]:
        """The agent's own alerts that began to fire or were resolved. One without a condition is no more."""
        conditions = list(conditions)
        standing, asked = self._standing.get(OWN, {}), {each.alert.key for each in conditions}
        for key in standing.keys() - asked:
            del standing[key]
        return [alert for each in conditions for alert in self._decide(each, now)]

    def _decide(self, condition: Condition, now: float, *, hold: bool = False) -> list[Alert]:
        key = condition.alert.key
        standing = self._standing.setdefault(key.target, {})
        before = standing.get(key)
        after = step(before, condition, now, hold=hold)
        if after is None or after.state is State.RESOLVED:
            if standing.pop(key, None):
                self._ended[key] = now
            return [after] if after else []
        standing[key] = after
        fired = after.state is State.FIRING and (before is None or before.state is not State.FIRING)
        return [after] if fired else []

    def _stands(self, key: Key) -> bool:
        """Else what is not broken changes nothing."""
        return key in self._standing.get(key.target, {})

    def _silences(self, inhibitor: Key, lingers: float, now: float) -> bool:
        """While the inhibitor is broken, and as long afterwards as its fault still shows in the other."""
        broken = inhibitor in self._standing.get(inhibitor.target, {})
        return broken or now - self._ended.get(inhibitor, -math.inf) < lingers

    def _blindness(self, readings: list[Reading], inhibited: set[Key], now: float) -> list[Condition]:
        """One condition per check: whether it has kept some objective without data for too long."""
        by_check: dict[tuple[str, str], list[Reading]] = {}
        overdue: dict[tuple[str, str], list[Reading]] = {}
        for reading in readings:
            key, place = _key(reading), (reading.target, reading.objective.check)
            by_check.setdefault(place, []).append(reading)
            if not reading.blind or key in inhibited:
                self._blind_since.pop(key, None)
            elif now - self._blind_since.setdefault(key, now) >= reading.objective.no_data.after:
                overdue.setdefault(place, []).append(reading)
        return [
            _no_data(
                group, overdue.get(place, []), min(self._blind_since.get(_key(r), now) for r in group), now
            )
            for place, group in by_check.items()
            if place in overdue or self._stands(Key(NO_DATA, *place))
        ]


def step(alert: Alert | None, condition: Condition, now: float, *, hold: bool = False) -> Alert | None:
    """What becomes of an alert; None when there is none any more. `hold` keeps it from beginning to fire.

    As in Prometheus (rules/alerting.go): `keep_firing` counts from where the expression is good on, which is
    the first good reading, or the last of those that it takes.
    """
    seen = condition.alert
    firing = alert is not None and alert.state is State.FIRING
    if alert is not None and firing:
        if condition.broken is None:
            return replace(alert, good_since=None, good_results=0)
        if not condition.broken and condition.cleared:
            return _cooling(alert, condition, now)
    elif not condition.broken:
        return None
    if alert is None or (hold and not firing):
        alert = seen
    alert = replace(
        alert, last_broken=now, good_since=None, good_results=0, value=seen.value, reason=seen.reason
    )
    if firing or hold or now - alert.since < condition.wait:
        return alert
    return replace(alert, state=State.FIRING, fired_at=now)


def _cooling(alert: Alert, condition: Condition, now: float) -> Alert:
    fresh = condition.alert
    alert = replace(alert, good_results=alert.good_results + condition.fresh)
    if alert.good_results < condition.good_results:
        return alert
    good_since = now if alert.good_since is None else alert.good_since
    if now - good_since < condition.keep_firing:
        return replace(alert, good_since=good_since)
    return replace(
        alert,
        state=State.RESOLVED,
        resolved_at=now,
        good_since=good_since,
        value=fresh.value,
        reason=fresh.reason,
    )


def no_longer_watched(alert: Alert, now: float) -> Alert:
    return replace(alert, state=State.RESOLVED, resolved_at=now, reason=NO_LONGER_WATCHED)


def _inhibitors_first(readings: list[Reading]) -> list[Reading]:
    inhibitor = {reading.objective.name: reading.objective.inhibited_by for reading in readings}

    def depth(name: str | None) -> int:
        return 1 + depth(inhibitor[name]) if name in inhibitor else 0

    return sorted(readings, key=lambda reading: depth(reading.objective.name))


def _inhibitors(reading: Reading, by_name: Mapping[tuple[str, str], Reading]) -> Iterator[Reading]:
    """Along the chain: what silences an inhibitor silences the rest too."""
    inhibitor = by_name.get((reading.target, reading.objective.inhibited_by or ""))
    if inhibitor:
        yield inhibitor
        yield from _inhibitors(inhibitor, by_name)


def _key(reading: Reading) -> Key:
    return Key(reading.objective.name, reading.target, reading.objective.check)


def _condition(reading: Reading) -> Condition:
    objective = reading.objective
    cleared = reading.value is None or objective.cleared_by(reading.value)
    alert = Alert(
        key=_key(reading),
        state=State.PENDING,
        since=reading.at,
        last_broken=reading.at,
        severity=objective.severity,
        title=objective.title,
        value=reading.value_text,
        threshold=str(objective.breach),
        reason=reading.why if cleared else f"{reading.why}; it ends {objective.clear}",
        runbook=objective.runbook,
    )
    known = reading.verdict is not Verdict.UNKNOWN
    broken = reading.verdict is Verdict.BREACH if known else None
    return Condition(
        alert,
        broken,
        objective.for_,
        objective.keep_firing_for,
        cleared,
        objective.good_results,
        reading.fresh,
    )


def _no_data(group: list[Reading], overdue: list[Reading], since: float, now: float) -> Condition:
    """Ends only when every objective of the check can be judged again, or is explained by another alert."""
    first = group[0]
    blind = [reading for reading in group if reading.blind]
    blamed = overdue or blind or group
    severity = max((reading.objective.no_data.severity for reading in blamed), key=LOUDNESS.index)
    alert = Alert(
        key=Key(NO_DATA, first.target, first.objective.check),
        state=State.PENDING,
        since=since,
        last_broken=now,
        severity=severity,
        title=f"No data from the {first.objective.check} check",
        value=f"{len(blind)} of {len(group)} objectives unknown",
        threshold=f"none for {format_duration(min(r.objective.no_data.after for r in blamed))}",
        reason=blamed[0].why if blind else "data is back",
        runbook=NO_DATA_RUNBOOK,
    )
    broken = True if overdue else (None if blind else False)
    return Condition(alert, broken, 0.0, 0.0)


def count_by_state(alerts: Mapping[Key, Alert]) -> dict[State, int]:
    return {
        state: sum(alert.state is state for alert in alerts.values())
        for state in (State.PENDING, State.FIRING)
    }
