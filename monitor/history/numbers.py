"""Which number stands for which check or objective of which target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from monitor.history.rows import Entry, ProbeRow
from monitor.history.tables import failures, outcomes, readings, rollups, series
from monitor.judge import Reading

CHECK, OBJECTIVE = "check", "objective"
AT_ONCE = 500
"""Keys in one query."""

T = TypeVar("T")


class Series(NamedTuple):
    kind: str
    target: str
    name: str


class Numbers:
    """Remembers what has been looked up; only `keep` what a commit has made true."""

    def __init__(self) -> None:
        self._known: dict[Series, int] = {}

    def look_up(self, connection: sa.Connection, wanted: Iterable[Series]) -> dict[Series, int]:
        """Numbers of all that are wanted; those that had none get one."""
        wanted = set(wanted)
        found = {each: self._known[each] for each in wanted if each in self._known}
        found |= existing(connection, wanted - found.keys())
        if missing := sorted(wanted - found.keys()):
            connection.execute(series.insert(), [each._asdict() for each in missing])
            found |= existing(connection, missing)
        return found

    def keep(self, found: Mapping[Series, int]) -> None:
        self._known.update(found)

    def forget_unused(self, connection: sa.Connection) -> None:
        self._known.clear()
        used = (table.c.series == series.c.id for table in (rollups, readings, outcomes, failures))
        connection.execute(series.delete().where(*(~sa.exists().where(each) for each in used)))


def existing(connection: sa.Connection, wanted: Iterable[Series]) -> dict[Series, int]:
    found: dict[Series, int] = {}
    for some in chunks(sorted(wanted)):
        query = sa.select(series).where(sa.tuple_(series.c.kind, series.c.target, series.c.name).in_(some))
        found |= {Series(row.kind, row.target, row.name): row.id for row in connection.execute(query)}
    return found


def named(entries: Iterable[Entry]) -> Iterator[Series]:
    """All that the cycles speak of."""
    for entry in entries:
        yield from map(checked, entry.probes)
        yield from map(judged, entry.readings)


def checked(probe: ProbeRow) -> Series:
    return Series(CHECK, probe.target, probe.check)


def judged(reading: Reading) -> Series:
    return Series(OBJECTIVE, reading.target, reading.objective.name)


def chunks(items: Iterable[T], size: int = AT_ONCE) -> Iterator[list[T]]:
    listed = list(items)
    return (listed[start : start + size] for start in range(0, len(listed), size))


def key_of(table: sa.Table) -> Any:
    return sa.tuple_(*table.primary_key.columns)
