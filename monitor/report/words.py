"""The report's sentences and tables, the same in every form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from monitor.history.incidents import Incident
from monitor.quantity import format_duration, format_value
from monitor.report.build import Report, Service

NOTHING = "-"
NO_DATA = "no data"
MUCH_UNKNOWN = 0.05
"""Share of the time without data from which on an objective that is met must say so."""
MOST_INCIDENTS = 200
"""Listed; all of them are in the JSON form."""


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    if_empty: str
    note: str = ""


def title(report: Report) -> str:
    return f"{report.month.title}{'' if report.complete else ', so far'}"


def objective(service: Service) -> str:
    """What the browser's form says of a service with a budget: no data is no good news."""
    if service.budget and not service.budget.met:
        return "✗ objective missed"
    blank = service.no_data / (service.covered + service.no_data)
    return (
        "✓ objective met"
        if blank < MUCH_UNKNOWN
        else f"✓ met where there is data, {format_value(blank, 'ratio')} has none"
    )


def span(report: Report) -> str:
    return f"{moment(report.since)} to {moment(report.until)} UTC, made {moment(report.made_at)} UTC"


def tables(report: Report) -> Iterator[Table]:
    yield _availability(report)
    yield _reasons(report)
    yield _incidents(report)
    yield _slowest(report)


def notes(report: Report) -> Iterator[str]:
    """What the numbers mean."""
    yield "Uptime is the share of good answers among the probes. Months, days and hours are those of UTC."
    yield (
        "No data is time for which no probe speaks: the agent did not run, stood still itself, or was "
        "asked to wait (429). It counts neither for nor against uptime."
    )
    if (objective := report.objective) is not None:
        yield (
            f"The error budget is what {objective.breach.limit} leaves of the whole month "
            f"({objective.document}); down is the share of failed probes times the time with data."
        )


def verdict(service: Service) -> str:
    """One word for a service that has an objective."""
    if service.budget is None:
        return NO_DATA if service.uptime is None else ""
    return "met" if service.budget.met else "missed"


def uptime(service: Service) -> str:
    if service.uptime is None:
        return NO_DATA
    limit = service.budget.objective if service.budget else None
    return format_value(service.uptime, "ratio", apart_from=limit)


def spent(service: Service) -> str:
    """`43 % (18 min 36 s of 44 min 38 s)`"""
    if (budget := service.budget) is None:
        return NOTHING
    share = format_value(budget.share, "ratio", apart_from=1.0)
    return f"{share} ({format_duration(budget.spent)} of {format_duration(round(budget.allowed))})"


def no_data(service: Service, report: Report) -> str:
    if service.no_data < 1:
        return "none"
    share = service.no_data / (report.until - report.since)
    return f"{format_duration(service.no_data)} ({format_value(share, 'ratio')})"


def bad_days(service: Service) -> str:
    """For those who can't see the bars."""
    known = [each for each in service.days if each.total]
    failed = sum(1 for each in known if each.failures)
    return (
        f"probes failed on {failed} of {len(known)} days with data, {len(service.days) - len(known)} without"
    )


def seconds(value: float | None) -> str:
    return NOTHING if value is None else format_value(value, "seconds")


def lasted(report: Report, incident: Incident) -> str:
    """Within the month."""
    how_long = format_duration(report.duration(incident))
    return how_long if incident.resolved_at is not None else f"{how_long}, still open"


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _availability(report: Report) -> Table:
    columns = ("Service", "Uptime", "Objective", "Budget spent", "No data", "Probes", "p50", "p95", "p99")
    rows = tuple(
        (
            f"{each.target} / {each.check}",
            uptime(each),
            verdict(each) or NOTHING,
            spent(each),
            no_data(each, report),
            f"{each.failures:,} of {each.total:,} failed",
            seconds(each.p50),
            seconds(each.p95),
            seconds(each.p99),
        )
        for each in report.services
    )
    return Table("Uptime", columns, rows, "No check is known.")


def _reasons(report: Report) -> Table:
    rows = tuple(
        (f"{each.target} / {each.check}", reason, f"{count:,}")
        for each in report.services
        for reason, count in each.reasons
    )
    note = "throttled and stalled probes count for nobody."
    return Table("Why probes were not good", ("Service", "Reason", "Probes"), rows, "All were good.", note)


def _incidents(report: Report) -> Table:
    columns = ("Began (UTC)", "Lasted", "Service", "Incident", "Severity", "When it fired", "Reason")
    rows = tuple(
        (
            moment(each.since),
            lasted(report, each),
            f"{each.key.target} / {each.key.check}",
            each.title,
            each.severity,
            f"{each.value} (alert when {each.threshold})",
            each.reason,
        )
        for each in report.incidents[:MOST_INCIDENTS]
    )
    left_out = len(report.incidents) - len(rows)
    note = f"{left_out:,} more are in the JSON form." if left_out else ""
    return Table(f"Incidents ({len(report.incidents):,})", columns, rows, "None.", note)


def _slowest(report: Report) -> Table:
    columns = ("Service", "Hour from (UTC)", "p95", "Answers")
    rows = tuple(
        (
            f"{each.target} / {each.check}",
            moment(hour.at),
            seconds(hour.p95),
            f"{hour.total - hour.failures:,}",
        )
        for each in report.services
        for hour in each.slowest_hours
    )
    return Table(
        "Slowest hours", columns, rows, "No hour has enough answers, or hours are not kept any more."
    )
