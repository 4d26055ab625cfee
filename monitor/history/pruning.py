"""How long each kind of row is kept, and what deletes those that are older.

Each deletion is bounded and a transaction of its own, so that cycles are recorded in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import sqlalchemy as sa

from monitor.history.numbers import Numbers, chunks
from monitor.history.rollup import DAY, HOUR, MINUTE
from monitor.history.tables import (
    conversations,
    deploys,
    failures,
    gate_runs,
    incidents,
    outbox,
    outcomes,
    probe_results,
    readings,
    rollups,
    series,
    transitions,
)

KEEP_RESULTS = 8 * 86400.0
KEEP_OUTCOMES = 31 * 86400.0
"""The longest window of an objective, and a day."""
KEEP_TRANSITIONS = 400 * 86400.0
KEEP_CONVERSATIONS = 2 * 86400.0
"""After their end: long enough to see that an alert flaps."""
KEEP_ROLLUPS = {MINUTE: 32 * 86400.0, HOUR: 400 * 86400.0, DAY: 1100 * 86400.0}
KEEP_READINGS = {MINUTE: 2 * 86400.0, HOUR: 400 * 86400.0}
KEEP_FAILURES = 1000
"""Of each check of each target, however old."""

ROWS_AT_ONCE = 10_000
SERIES_AT_ONCE = 50

Writing = Callable[[], AbstractContextManager[sa.Connection]]


def prune(writing: Writing, numbers: Numbers, now: float) -> None:
    _delete_by_id(writing, probe_results, probe_results.c.at < now - KEEP_RESULTS)
    _delete_by_id(writing, transitions, transitions.c.at < now - KEEP_TRANSITIONS)
    _delete_by_id(writing, deploys, deploys.c.at < now - KEEP_TRANSITIONS)
    _delete_by_id(writing, gate_runs, gate_runs.c.at < now - KEEP_TRANSITIONS)
    _delete_by_id(writing, incidents, incidents.c.resolved_at < now - KEEP_TRANSITIONS)
    with writing() as connection:
        connection.execute(conversations.delete().where(conversations.c.ended_at < now - KEEP_CONVERSATIONS))
    _delete_by_id(writing, outbox, outbox.c.ended_at < now - KEEP_TRANSITIONS)
    for condition in _old_spans(now):
        _delete_by_series(writing, condition)
    _thin_failures(writing)
    with writing() as connection:
        connection.execute(series.delete().where(*_unused()))
    numbers.forget()


def _old_spans(now: float) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    for table, kept in ((rollups, KEEP_ROLLUPS), (readings, KEEP_READINGS)):
        for span, seconds in kept.items():
            yield table, sa.and_(table.c.span == span, table.c.at < now - seconds - span)
    yield outcomes, outcomes.c.at < now - KEEP_OUTCOMES - HOUR


def _unused() -> Iterator[sa.ColumnElement[bool]]:
    """Spans are named, for without them no primary key leads to a series."""
    for table, kept in ((rollups, KEEP_ROLLUPS), (readings, KEEP_READINGS), (outcomes, {}), (failures, {})):
        row = table.c.series == series.c.id
        yield ~sa.exists().where(sa.and_(row, table.c.span.in_(kept)) if kept else row)


def _delete_by_id(writing: Writing, table: sa.Table, condition: sa.ColumnElement[bool]) -> None:
    some = sa.select(table.c.id).where(condition).limit(ROWS_AT_ONCE).scalar_subquery()
    deleted = ROWS_AT_ONCE
    while deleted == ROWS_AT_ONCE:
        with writing() as connection:
            deleted = connection.execute(table.delete().where(table.c.id.in_(some))).rowcount


def _delete_by_series(writing: Writing, old: tuple[sa.Table, sa.ColumnElement[bool]]) -> None:
    """By the leading columns of the primary key, as there is no index on the time alone."""
    table, condition = old
    with writing() as connection:
        numbers = connection.execute(sa.select(series.c.id)).scalars().all()
    for some in chunks(numbers, SERIES_AT_ONCE):
        with writing() as connection:
            connection.execute(table.delete().where(condition, table.c.series.in_(some)))


def _thin_failures(writing: Writing) -> None:
    many = sa.select(failures.c.series).group_by(failures.c.series).having(sa.func.count() > KEEP_FAILURES)
    with writing() as connection:
        numbers = connection.execute(many).scalars().all()
    for number in numbers:
        with writing() as connection:
            newest = (
                sa.select(failures.c.at).where(failures.c.series == number).order_by(failures.c.at.desc())
            )
            oldest_kept = connection.execute(newest.offset(KEEP_FAILURES - 1).limit(1)).scalar_one()
            connection.execute(
                failures.delete().where(failures.c.series == number, failures.c.at < oldest_kept)
            )
