"""Adds what a batch of cycles learnt to the roll-ups, in the transaction that stores its raw rows.

Rows are read, added to and written back: whoever calls has the store to itself until the commit. So raw rows
and roll-ups agree whenever the agent dies, and neither the order of cycles nor their lateness matters.
"""

from __future__ import annotations

import operator
import struct
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, takewhile
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from monitor.history.numbers import CHECK, Series, checked, chunks
from monitor.history.rollup import HOUR, Extent, Rollup, RollupKey, extents, packed_phases, rolled
from monitor.history.rows import IGNORED, OK, Entry, ProbeRow
from monitor.history.tables import failures, outcomes, probe_results, readings, rollups, series

DETAIL = 500
"""Characters of what a target said that are kept."""


class Outcomes(NamedTuple):
    """When the probes of a check were, the oldest first unless the clock was set back.

    `values` are 1 for those that succeeded, 0 for those that failed.
    """

    target: str
    check: str
    times: array[float]
    values: array[float]

    @property
    def failures_in_a_row(self) -> int:
        """Up to the last."""
        return len(list(takewhile(operator.not_, reversed(self.values))))


SeriesNumbers = Mapping[Series, int]


def learn(connection: sa.Connection, entries: Sequence[Entry], numbers: SeriesNumbers) -> None:
    probes = [probe._replace(detail=storable(probe.detail)) for entry in entries for probe in entry.probes]
    if probes:
        connection.execute(probe_results.insert(), [_raw(probe) for probe in probes])
    add_probes(connection, probes, numbers)
    read = (reading for entry in entries for reading in entry.readings)
    add_extents(connection, extents(read, numbers))


def add_probes(connection: sa.Connection, probes: Sequence[ProbeRow], numbers: SeriesNumbers) -> None:
    """To everything but the raw rows."""
    add_rollups(connection, rolled(probes, numbers))
    add_outcomes(connection, probes, numbers)
    add_failures(connection, probes, numbers)


def add_failures(connection: sa.Connection, probes: Iterable[ProbeRow], numbers: SeriesNumbers) -> None:
    failed = [
        {"series": numbers[checked(probe)], **_raw(probe)}
        for probe in probes
        if probe.reason != OK and probe.reason not in IGNORED
    ]
    if failed:
        kept = [{name: row[name] for name in failures.c.keys() if name != "id"} for row in failed]  # noqa: SIM118
        connection.execute(failures.insert(), kept)


def add_rollups(connection: sa.Connection, found: dict[RollupKey, Rollup]) -> None:
    for row in _existing(connection, rollups, found):
        found[row.span, row.series, row.at].merge(row)
    _write(connection, rollups, {key: rollup.row() for key, rollup in found.items()})


def add_extents(connection: sa.Connection, found: dict[RollupKey, Extent]) -> None:
    for row in _existing(connection, readings, found):
        earlier, key = Extent.stored(row), (row.span, row.series, row.at)
        earlier.merge(found[key])
        found[key] = earlier
    _write(connection, readings, {key: extent.row() for key, extent in found.items()})


def add_outcomes(connection: sa.Connection, probes: Iterable[ProbeRow], numbers: SeriesNumbers) -> None:
    """Behind those that came before, as they came."""
    found: dict[tuple[int, ...], list[float]] = {}
    for probe in probes:
        if probe.reason not in IGNORED:
            key = numbers[checked(probe)], int(probe.at // HOUR) * HOUR
            found.setdefault(key, []).append(probe.at if probe.reason == OK else -probe.at)
    packed = {key: {"results": pack(results)} for key, results in found.items()}
    for row in _existing(connection, outcomes, found):
        packed[row.series, row.at]["results"] = row.results + packed[row.series, row.at]["results"]
    _write(connection, outcomes, packed)


def pack(results: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(results)}d", *results)


def outcomes_between(connection: sa.Connection, since: float, until: float) -> Iterator[Outcomes]:
    query = (
        sa.select(series.c.target, series.c.name, outcomes.c.results)
        .join(series, series.c.id == outcomes.c.series)
        .where(series.c.kind == CHECK, outcomes.c.at > since - HOUR, outcomes.c.at <= until)
        .order_by(outcomes.c.series, outcomes.c.at)
    )
    for (target, check), rows in groupby(connection.execute(query), key=lambda row: (row.target, row.name)):
        packed = b"".join(row.results for row in rows)
        unpacked = struct.unpack(f"<{len(packed) // 8}d", packed)
        signed = [each for each in unpacked if since <= abs(each) <= until]
        values = array("d", [1.0 if each > 0 else 0.0 for each in signed])
        yield Outcomes(target, check, array("d", map(abs, signed)), values)


def storable(text: str) -> str:
    """What a target said may hold characters (NUL, halves of surrogate pairs) that no database takes."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _raw(probe: ProbeRow) -> dict[str, Any]:
    return {**probe._asdict(), "phases": packed_phases(probe.phases)}


def _existing(connection: sa.Connection, table: sa.Table, keys: Collection[tuple[int, ...]]) -> Iterator[Any]:
    """The rows with these keys, of which the last two parts are the series and the time.

    They are asked for column by column: for a list of whole keys SQLite reads the table from end to end.
    """
    columns = table.primary_key.columns
    for span, group in groupby(sorted(keys), key=lambda key: key[:-2]):
        wanted = set(group)
        leading = [column == value for column, value in zip(columns, span, strict=False)]
        for numbers in chunks(sorted({key[-2] for key in wanted})):
            for times in chunks(sorted({key[-1] for key in wanted})):
                within = (table.c.series.in_(numbers), table.c.at.in_(times))
                rows = connection.execute(sa.select(table).where(*leading, *within))
                yield from (row for row in rows if (*span, row.series, row.at) in wanted)


def _write(
    connection: sa.Connection, table: sa.Table, rows: Mapping[tuple[int, ...], dict[str, Any]]
) -> None:
    """Puts each row in place of the one with its key."""
    if not rows:
        return
    names = table.primary_key.columns.keys()
    written = [{**dict(zip(names, key, strict=True)), **row} for key, row in sorted(rows.items())]
    connection.execute(_upsert(table, connection.dialect.name), written)


@cache
def _upsert(table: sa.Table, dialect: str) -> Any:
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    key = table.primary_key.columns
    return insert.on_conflict_do_update(
        index_elements=list(key),
        set_={column.name: insert.excluded[column.name] for column in table.c if column.name not in key},
    )
