"""What the past looked like: for the agent's page and the report.

A year of ten targets is read in milliseconds, since each answer is put together from the largest roll-ups
that fit. Times are seconds since the epoch; spans of time are half open, and begin on a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from monitor.history import incidents
from monitor.history.incidents import Incident
from monitor.history.numbers import CHECK, OBJECTIVE, Series, existing
from monitor.history.rollup import (
    HOUR,
    MINUTE,
    READING_SPANS,
    SPANS,
    WORSE,
    Extent,
    Rollup,
    unpacked_phases,
)
from monitor.history.rows import Phases
from monitor.history.tables import failures, readings, rollups, series
from monitor.judge import Verdict

MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Bar:
    """The probes of `step` seconds from `at` on. `total` counts failures and good answers; 0 is "no data",
    which is neither up nor down. `covered`: the seconds of it for which a probe speaks."""

    at: float
    step: float
    total: int
    failures: int
    ignored: int
    """Told us to wait, or came while the agent itself stood still."""
    covered: float
    p95: float | None
    worst_reason: str | None
    phases: Phases | None
    """Seconds of dns, connect, tls, first_byte and transfer of the mean good answer."""


class Point(NamedTuple):
    """What an objective read in a step from `at` on: values are None where it had none."""

    at: float
    low: float | None
    high: float | None
    last: float | None
    worst: Verdict


class Failure(NamedTuple):
    at: float
    check: str
    reason: str
    detail: str
    duration: float
    status: int | None
    phases: tuple[float, ...]


class Uptime(NamedTuple):
    """`covered` of the `span` seconds are known, the rest is "no data"."""

    total: int
    failures: int
    ignored: int
    covered: float
    span: float

    @property
    def ratio(self) -> float | None:
        return (self.total - self.failures) / self.total if self.total else None


@dataclass(slots=True)
class Sum:
    """Roll-ups put together, and how many seconds of them are covered."""

    rollup: Rollup = field(default_factory=Rollup)
    covered: float = 0.0

    def add(self, row: Any) -> None:
        self.covered += int.from_bytes(row.covered, "little").bit_count() * MINUTE
        self.rollup.merge_counts(row)


class Reader:
    """Answers from the store; each raises SQLAlchemyError when that can't be read."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def checks(self) -> list[tuple[str, str]]:
        """(target, check) of all that was ever probed and is still kept."""
        query = sa.select(series.c.target, series.c.name).where(series.c.kind == CHECK)
        with self._engine.connect() as connection:
            return sorted((row.target, row.name) for row in connection.execute(query))

    def bars(self, target: str, check: str, since: float, until: float, step: float) -> list[Bar]:
        """One for each step, also where there is no data; a minute is the shortest.

        Where only hours or days are kept, steps are as long. Raises ValueError for over 10,000 steps.
        """
        with self._engine.connect() as connection:
            steps = _Steps(connection, rollups, Series(CHECK, target, check), since, until, step)
            sums = [Sum() for _ in range(steps.count)]
            for row in steps.rows(connection):
                sums[steps.index(row.at)].add(row)
        return [_bar(steps.start + index * steps.step, steps.step, each) for index, each in enumerate(sums)]

    def total(self, target: str, check: str, since: float, until: float) -> Sum:
        """All probes of a time; its ends are those of minutes, or of hours where minutes are not kept."""
        found = Sum()
        with self._engine.connect() as connection:
            number = _number(connection, Series(CHECK, target, check))
            finest = MINUTE if _reaches(connection, rollups, number, MINUTE, HOUR, since) else HOUR
            for span, start, end in pieces(since, until, finest):
                for row in connection.execute(_within(rollups, number, span, start, end)):
                    found.add(row)
        return found

    def latency(self, target: str, check: str, since: float, until: float, q: float) -> float | None:
        """The q-quantile of the durations of good answers, right to 1 %; None without any."""
        return self.total(target, check, since, until).rollup.sketch.quantile(q)

    def uptime(self, target: str, since: float, until: float, check: str = "health") -> Uptime:
        found = self.total(target, check, since, until)
        probes = found.rollup
        return Uptime(probes.total, probes.failures, probes.ignored, found.covered, until - since)

    def phases(self, target: str, check: str, since: float, until: float) -> Phases | None:
        """Seconds of dns, connect, tls, first_byte and transfer of the mean good answer."""
        return _mean_phases(self.total(target, check, since, until).rollup)

    def objective_series(
        self, target: str, objective: str, since: float, until: float, step: float
    ) -> list[Point]:
        """One for each step in which it was judged. Minutes are kept for two days; then steps are hours."""
        found: dict[int, Extent] = {}
        with self._engine.connect() as connection:
            steps = _Steps(connection, readings, Series(OBJECTIVE, target, objective), since, until, step)
            for row in steps.rows(connection):
                extent = Extent.stored(row)
                if (index := steps.index(row.at)) in found:
                    found[index].merge(extent)
                else:
                    found[index] = extent
        return [
            Point(steps.start + index * steps.step, each.low, each.high, each.last, WORSE[each.worst])
            for index, each in sorted(found.items())
        ]

    def incidents(self, since: float, until: float, target: str | None = None) -> list[Incident]:
        with self._engine.connect() as connection:
            return list(incidents.overlapping(connection, since, until, target))

    def incident(self, number: int) -> Incident | None:
        with self._engine.connect() as connection:
            return incidents.by_id(connection, number)

    def failures(self, target: str, limit: int, check: str | None = None) -> list[Failure]:
        """The newest first; they outlive the raw results of the probes."""
        query = (
            sa.select(failures, series.c.name)
            .join(series, series.c.id == failures.c.series)
            .where(series.c.kind == CHECK, series.c.target == target)
            .order_by(failures.c.at.desc(), failures.c.id.desc())
            .limit(limit)
        )
        if check is not None:
            query = query.where(series.c.name == check)
        with self._engine.connect() as connection:
            return [_failure(row) for row in connection.execute(query)]


class _Steps:
    """Which roll-ups answer for equal steps of time."""

    def __init__(
        self,
        connection: sa.Connection,
        table: sa.Table,
        wanted: Series,
        since: float,
        until: float,
        step: float,
    ) -> None:
        self._table, self._until = table, until
        self._number = _number(connection, wanted)
        self.span = self._span(connection, since, step)
        self.step = max(step, self.span) // self.span * self.span
        self.start = since // self.span * self.span
        self.count = max(0, -int((self.start - until) // self.step))
        if self.count > MOST_STEPS:
            raise ValueError(
                f"{self.count:,} steps of {self.step:g} s are more than {MOST_STEPS:,}: take longer ones"
            )

    def _span(self, connection: sa.Connection, since: float, step: float) -> int:
        spans = SPANS if self._table is rollups else READING_SPANS
        fitting = [span for span in spans if step % span == 0 and since % span == 0]
        span = max(fitting, default=MINUTE)
        for longer in (each for each in spans if each > span):
            if _reaches(connection, self._table, self._number, span, longer, since):
                break
            span = longer
        return span

    def rows(self, connection: sa.Connection) -> Iterator[Any]:
        yield from connection.execute(_within(self._table, self._number, self.span, self.start, self._until))

    def index(self, at: int) -> int:
        return int((at - self.start) // self.step)


def pieces(since: float, until: float, finest: int) -> Iterator[tuple[int, int, int]]:
    """(span, start, end) that cover the time, the longest spans that fit; its ends are rounded outwards."""
    start, end = int(since // finest) * finest, -int(-until // finest) * finest
    yield from _pieces(start, end, [span for span in SPANS if span >= finest])


def _pieces(start: int, end: int, spans: list[int]) -> Iterator[tuple[int, int, int]]:
    if start >= end:
        return
    span, longer = spans[0], spans[1:]
    first, last = (-(-start // longer[0]) * longer[0], end // longer[0] * longer[0]) if longer else (end, end)
    if first >= last:
        yield span, start, end
        return
    yield from ((span, low, high) for low, high in ((start, first), (last, end)) if low < high)
    yield from _pieces(first, last, longer)


def _within(table: sa.Table, number: int | None, span: int, start: float, end: float) -> sa.Select[Any]:
    columns = table.c
    return sa.select(table).where(
        columns.span == span, columns.series == number, columns.at >= start, columns.at < end
    )


def _reaches(
    connection: sa.Connection, table: sa.Table, number: int | None, span: int, longer: int, since: float
) -> bool:
    """Whether no row of the shorter span has been deleted since then: the longer one goes back no further."""
    first = _oldest(connection, table, number, longer)
    oldest = _oldest(connection, table, number, span)
    return first is None or (oldest is not None and oldest <= max(since, first + longer))


def _oldest(connection: sa.Connection, table: sa.Table, number: int | None, span: int) -> int | None:
    query = sa.select(sa.func.min(table.c.at)).where(table.c.span == span, table.c.series == number)
    found: int | None = connection.execute(query).scalar_one()
    return found


def _number(connection: sa.Connection, wanted: Series) -> int | None:
    return existing(connection, [wanted]).get(wanted)


def _bar(at: float, step: float, found: Sum) -> Bar:
    probes = found.rollup
    return Bar(
        at=at,
        step=step,
        total=probes.total,
        failures=probes.failures,
        ignored=probes.ignored,
        covered=found.covered,
        p95=probes.sketch.quantile(0.95),
        worst_reason=probes.worst_reason,
        phases=_mean_phases(probes),
    )


def _mean_phases(probes: Rollup) -> Phases | None:
    if not probes.good:
        return None
    dns, connect, tls, first_byte, transfer = (seconds / probes.good for seconds in probes.phases)
    return dns, connect, tls, first_byte, transfer


def _failure(row: Any) -> Failure:
    phases = unpacked_phases(row.phases)
    return Failure(row.at, row.name, row.reason, row.detail, row.duration, row.status, phases)
