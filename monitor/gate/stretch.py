"""A stretch of a target's history in memory: what was known at any time of it is told in microseconds.

Made of hours, which are kept for more than a year: each says which of its minutes were probed, and what an
objective read last. That is all that was known on the hour. At other times availability is that of the last
whole hour, and readings are known where their minutes are kept (two days).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import sqlalchemy as sa

from monitor.gate.from_history import HEALTH, Probes
from monitor.history import History, Incident
from monitor.history.numbers import CHECK, OBJECTIVE, Series, existing
from monitor.history.rollup import HOUR, MINUTE
from monitor.history.tables import readings, rollups

Readings = tuple[list[float], list[float | None]]
"""When, the oldest first; and what."""


class Stretch:
    """Of one target. Nothing after the time that is asked for is looked at."""

    def __init__(
        self, hours: Sequence[Any], read: Mapping[str, Readings], incidents: Iterable[Incident]
    ) -> None:
        """`hours`: rows of roll-ups of /health, the oldest first."""
        self._starts = [row.at for row in hours]
        self._covered = [int.from_bytes(row.covered, "little") for row in hours]
        self._totals = [0, *accumulate(row.total for row in hours)]
        self._failures = [0, *accumulate(row.failures for row in hours)]
        self._read = read
        self._incidents = sorted(incidents, key=lambda each: each.fired_at)
        self._fired = [each.fired_at for each in self._incidents]

    @property
    def empty(self) -> bool:
        return not self._starts

    def probed(self, target: str, since: float, until: float) -> bool:  # noqa: ARG002
        first, end = int(since // MINUTE), int(until // MINUTE)
        index = bisect_right(self._starts, since - HOUR)
        while index < len(self._starts) and self._starts[index] < until:
            start = self._starts[index] // MINUTE
            low, high = max(0, first - start), max(0, end - start)
            if self._covered[index] & ((1 << high) - (1 << low)):
                return True
            index += 1
        return False

    def probes(self, target: str, since: float, until: float) -> Probes:  # noqa: ARG002
        first, end = bisect_left(self._starts, since), bisect_right(self._starts, until - HOUR)
        if first >= end:
            return Probes(0, 0)
        return Probes(self._totals[end] - self._totals[first], self._failures[end] - self._failures[first])

    def last(self, target: str, objective: str, since: float, until: float) -> float | None:  # noqa: ARG002
        times, values = self._read.get(objective, ([], []))
        index = bisect_left(times, until) - 1
        return values[index] if index >= 0 and times[index] >= since else None

    def going_on(self, target: str, at: float) -> list[Incident]:  # noqa: ARG002
        fired = self._incidents[: bisect_right(self._fired, at)]
        return [each for each in fired if each.resolved_at is None or each.resolved_at > at]


def loaded(
    store: History,
    target: str,
    objectives: Iterable[str],
    since: float,
    until: float,
    *,
    past: float,
    fine: bool,
) -> Stretch:
    """Blocks. Raises SQLAlchemyError. `past`: how many seconds before `since` are needed of /health.

    `fine`: with minutes of readings, for times that are not on the hour.
    """
    spans = [HOUR, MINUTE] if fine else [HOUR]
    wanted = {name: Series(OBJECTIVE, target, name) for name in objectives}
    health = Series(CHECK, target, HEALTH)
    with store.engine.connect() as connection:
        numbers = existing(connection, [health, *wanted.values()])
        hours = _hours(connection, numbers.get(health), since - past - HOUR, until)
        read = {
            name: _readings(connection, numbers.get(each), spans, since - HOUR, until)
            for name, each in wanted.items()
        }
    return Stretch(hours, read, store.read.incidents(since, until, target))


def _hours(connection: sa.Connection, number: int | None, since: float, until: float) -> Sequence[Any]:
    columns = rollups.c
    query = sa.select(columns.at, columns.total, columns.failures, columns.covered)
    where = (columns.span == HOUR, columns.series == number, columns.at >= since, columns.at < until)
    return connection.execute(query.where(*where).order_by(columns.at)).all()


def _readings(
    connection: sa.Connection, number: int | None, spans: Sequence[int], since: float, until: float
) -> Readings:
    columns = readings.c
    query = sa.select(columns.last_at, columns.last)
    where = (columns.span.in_(spans), columns.series == number, columns.at >= since, columns.at < until)
    rows = sorted({row.last_at: row.last for row in connection.execute(query.where(*where))}.items())
    return [at for at, _ in rows], [value for _, value in rows]
