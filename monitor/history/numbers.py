"""Which number stands for which check or objective of which target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from monitor.history.rows import Entry, ProbeRow
from monitor.history.tables import series
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

    def forget(self) -> None:
        self._known.clear()


def existing(connection: sa.Connection, wanted: Iterable[Series]) -> dict[Series, int]:
    """Asked for column by column: for a list of whole keys SQLite reads the table from end to end."""
    found: dict[Series, int] = {}
    wanted = set(wanted)
    names = sorted({each.name for each in wanted})
    for targets in chunks(sorted({each.target for each in wanted})):
        columns = series.c
        query = sa.select(series).where(columns.target.in_(targets), columns.name.in_(names))
        for row in connection.execute(query.where(columns.kind.in_(sorted({each.kind for each in wanted})))):
            found[Series(row.kind, row.target, row.name)] = row.id
    return {each: number for each, number in found.items() if each in wanted}


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
