"""Reads a month from the store: uptime, error budget, incidents, slowest hours.

Uptime is the share of good answers among the probes that say something about the target. Time for which no
probe speaks, because the agent did not run, stood still or was asked to wait, is "no data": it counts for
nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.history.incidents import Incident
from monitor.history.reading import Bar, Reader
from monitor.history.rollup import DAY, HOUR
from monitor.objectives import Objective, Objectives
from monitor.report.month import Month
from monitor.slis import Availability

SLOWEST_HOURS = 5
ENOUGH_ANSWERS = 10
"""Of an hour, for a p95 that says something about it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a target may be down in a month, in seconds, and how long it was.

    `spent` is the share of failed probes times the time for which there is data.
    """

    objective: float
    """The documented availability, such as 0.999."""
    allowed: float
    spent: float

    @property
    def share(self) -> float:
        """More than 1 when it is overspent."""
        return self.spent / self.allowed

    @property
    def met(self) -> bool:
        return self.spent <= self.allowed


@dataclass(frozen=True, slots=True)
class Service:
    """A check of a target. Times in seconds; quantiles and `uptime` are None without data."""

    target: str
    check: str
    uptime: float | None
    total: int
    failures: int
    ignored: int
    reasons: tuple[tuple[str, int], ...]
    """Of all that was not good, the most frequent first."""
    covered: float
    no_data: float
    budget: Budget | None
    p50: float | None
    p95: float | None
    p99: float | None
    days: tuple[Bar, ...]
    slowest_hours: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """`until` is the end of the month, or now while it goes on."""

    month: Month
    since: float
    until: float
    made_at: float
    objective: Objective | None
    services: tuple[Service, ...]
    incidents: tuple[Incident, ...]

    @property
    def complete(self) -> bool:
        return self.until == self.month.until

    @property
    def empty(self) -> bool:
        return not any(each.total or each.ignored for each in self.services) and not self.incidents

    def duration(self, incident: Incident) -> float:
        """The seconds of it that lie within the month."""
        end = self.until if incident.resolved_at is None else min(incident.resolved_at, self.until)
        return max(0.0, end - max(incident.since, self.since))


def build(
    reader: Reader,
    objectives: Objectives,
    month: Month,
    now: float,
    configured: Iterable[tuple[str, str]] = (),
) -> Report:
    """Of the `configured` checks (target, check), and of all others that the month knows of.

    Raises SQLAlchemyError when the store can't be read.
    """
    since, until = month.since, max(month.since, min(month.until, now))
    objective = availability(objectives)
    wanted = {*configured, *reader.checks()}
    found = (_service(reader, *each, since, until, month, objective) for each in sorted(wanted))
    expected = set(configured)
    return Report(
        month=month,
        since=since,
        until=until,
        made_at=now,
        objective=objective,
        services=tuple(
            each for each in found if each.total or each.ignored or (each.target, each.check) in expected
        ),
        incidents=tuple(reader.incidents(since, until)),
    )


def availability(objectives: Objectives) -> Objective | None:
    """The documented one."""
    return next((each for each in objectives if isinstance(each.sli, Availability)), None)


def _service(
    reader: Reader,
    target: str,
    check: str,
    since: float,
    until: float,
    month: Month,
    objective: Objective | None,
) -> Service:
    whole = reader.total(target, check, since, until)
    probes, sketch = whole.rollup, whole.rollup.sketch
    uptime = probes.good / probes.total if probes.total else None
    budget = None
    if objective is not None and check == objective.check and uptime is not None:
        documented = objective.breach.value
        allowed = (1 - documented) * (month.until - month.since)
        budget = Budget(documented, allowed, (1 - uptime) * whole.covered)
    return Service(
        target=target,
        check=check,
        uptime=uptime,
        total=probes.total,
        failures=probes.failures,
        ignored=probes.ignored,
        reasons=tuple(sorted(probes.reasons.items(), key=lambda each: (-each[1], each[0]))),
        covered=min(whole.covered, until - since),
        no_data=max(0.0, until - since - whole.covered),
        budget=budget,
        p50=sketch.quantile(0.5),
        p95=sketch.quantile(0.95),
        p99=sketch.quantile(0.99),
        days=tuple(reader.bars(target, check, since, until, DAY)),
        slowest_hours=tuple(_slowest(reader.bars(target, check, since, until, HOUR))),
    )


def _slowest(hours: Iterable[Bar]) -> list[Bar]:
    telling = [each for each in hours if each.step == HOUR and each.total - each.failures >= ENOUGH_ANSWERS]
    return sorted(telling, key=lambda each: (-(each.p95 or 0.0), each.at))[:SLOWEST_HOURS]
