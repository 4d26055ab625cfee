"""How targets and objectives stand: broken, going bad, unknown or good; and why, with the numbers in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from monitor.alerting import LOUDNESS, NO_DATA, Alert, State
from monitor.judge import Reading, Verdict
from monitor.quantity import format_duration
from monitor.web.charts import Meter, meter
from monitor.web.page import Snapshot, Watched
from monitor.web.timeline import Chart
from monitor.web.words import plain


class Standing(StrEnum):
    """How a target or an objective stands. The value is the CSS class; icon and word say it, too."""

    BROKEN = "broken"
    DEGRADED = "degraded"
    PENDING = "pending"
    WARNING = "warning"
    UNKNOWN = "unknown"
    GOOD = "good"

    @property
    def word(self) -> str:
        return _WORDS[self][0]

    @property
    def icon(self) -> str:
        """Drawn in macros.html."""
        return _WORDS[self][1]


_WORDS = {
    Standing.BROKEN: ("Broken", "cross"),
    Standing.DEGRADED: ("Degraded", "triangle"),
    Standing.PENDING: ("Going bad", "clock"),
    Standing.WARNING: ("Warning", "triangle"),
    Standing.UNKNOWN: ("Unknown", "question"),
    Standing.GOOD: ("Good", "tick"),
}
WORST_FIRST = list(Standing)
OF_VERDICT = {
    Verdict.BREACH: Standing.BROKEN,
    Verdict.WARN: Standing.WARNING,
    Verdict.UNKNOWN: Standing.UNKNOWN,
    Verdict.OK: Standing.GOOD,
}


@dataclass(frozen=True, slots=True)
class ObjectiveView:
    name: str
    title: str
    standing: Standing
    value: str
    formula: str
    why: str
    severity: str
    runbook: str
    document: str
    window: str
    meter: Meter | None
    chart: Chart | None


def standing_of(watched: Watched, alerts: list[Alert]) -> Standing:
    """UNKNOWN for want of traffic leaves a target good; for want of data, it does not."""
    firing = {alert.severity for alert in alerts if alert.state is State.FIRING}
    if "page" in firing:
        blind = all(alert.key.name == NO_DATA for alert in alerts if alert.severity == "page")
        return Standing.UNKNOWN if blind else Standing.BROKEN
    if "ticket" in firing:
        return Standing.DEGRADED
    if any(alert.state is State.PENDING and alert.severity != "info" for alert in alerts):
        return Standing.PENDING
    verdicts = {reading.verdict for reading in watched.readings}
    if any(reading.blind for reading in watched.readings) or not verdicts - {Verdict.UNKNOWN}:
        return Standing.UNKNOWN
    return Standing.WARNING if Verdict.WARN in verdicts else Standing.GOOD


def importance(alert: Alert) -> tuple[bool, int, float]:
    return alert.state is State.FIRING, LOUDNESS.index(alert.severity), -alert.since


def objective_view(reading: Reading, chart: Chart | None = None) -> ObjectiveView:
    objective = reading.objective
    return ObjectiveView(
        name=objective.name,
        title=objective.title,
        standing=OF_VERDICT[reading.verdict],
        value=reading.value_text,
        formula=_formula(reading),
        why=plain(reading.why),
        severity=objective.severity,
        runbook=runbook_link(objective.runbook),
        document=objective.document,
        window=format_duration(objective.window),
        meter=meter(objective.breach, reading.value),
        chart=chart,
    )


def _formula(reading: Reading) -> str:
    """`19 % is above 12 %`, `7 % is not above 12 %`."""
    limit = reading.objective.breach
    if reading.value is None:
        return f"Alert when {limit}"
    broken = "" if limit.broken_by(reading.value) else "not "
    return f"{reading.value_text} is {broken}{limit}"


def is_elsewhere(runbook: str) -> bool:
    return runbook.startswith(("https://", "http://"))


def runbook_link(runbook: str) -> str:
    if is_elsewhere(runbook):
        return runbook
    return f"/runbooks/{runbook.rpartition('/')[2].removesuffix('.md')}"


def fingerprint(snapshot: Snapshot) -> tuple[object, ...]:
    """Differs when the page would say something else that matters at once: states, not values."""
    return (
        snapshot.faults,
        snapshot.notes,
        snapshot.silences,
        tuple((each.alert.key, each.alert.state, each.acknowledged, each.withheld) for each in snapshot.told),
        tuple(_verdicts(watched.readings) for watched in snapshot.watched),
    )


def _verdicts(readings: Iterable[Reading]) -> tuple[Verdict, ...]:
    return tuple(reading.verdict for reading in readings)
