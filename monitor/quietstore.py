"""The tables of silences, acknowledgements and maintenance entered by hand. Every method blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from monitor.asking import RefusedError
from monitor.history import ROW_ID, schema
from monitor.maintenance import MOST_MAINTENANCE, OneOff
from monitor.silences import MOST_SILENCES, Acknowledgement, Silence

KEEP_ENDED = 400 * 86400.0
MOST_ACKNOWLEDGEMENTS = 10_000
"""The newest."""

silences = sa.Table(
    "silences",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("starts_at", sa.Float, nullable=False),
    sa.Column("ends_at", sa.Float, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
acknowledgements = sa.Table(
    "acknowledgements",
    schema,
    sa.Column("dedup_key", sa.Text, primary_key=True),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("until", sa.Float),
)
maintenance = sa.Table(
    "maintenance",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("start", sa.Float, nullable=False),
    sa.Column("end", sa.Float, nullable=False, index=True),
    sa.Column("targets", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)


class Stored(NamedTuple):
    """What has not ended yet."""

    silences: tuple[Silence, ...] = ()
    acknowledgements: Mapping[str, Acknowledgement] = {}
    maintenance: tuple[OneOff, ...] = ()


class QuietStore:
    """All methods raise sqlalchemy.exc.SQLAlchemyError when the store is away, full or locked."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ready(self) -> bool:
        """Whether an agent that knows of silences has made its tables here."""
        return all(map(sa.inspect(self._engine).has_table, (silences.name, acknowledgements.name)))

    def load(self, now: float) -> Stored:
        asked = acknowledgements.c
        query = (
            sa.select(acknowledgements)
            .where(sa.or_(asked.until.is_(None), asked.until > now))
            .order_by(asked.at.desc())
            .limit(MOST_ACKNOWLEDGEMENTS)
        )
        with self._engine.connect() as connection:
            acknowledged = [Acknowledgement(**row) for row in connection.execute(query).mappings()]
            return Stored(
                tuple(_silences(connection, since=now)),
                {each.dedup_key: each for each in acknowledged},
                tuple(_maintenance(connection, since=now)),
            )

    def silences(self, since: float) -> list[Silence]:
        """Those that end after `since`, the first to end first."""
        with self._engine.connect() as connection:
            return _silences(connection, since)

    def add_silence(self, silence: Silence, now: float) -> Silence:
        """With the number that it gets. Raises RefusedError when there are too many."""
        values = {key: value for key, value in _columns(silence, silences).items() if key != "id"}
        with self._engine.begin() as connection:
            _prune(connection, silences.c.ends_at, now)
            _bounded(connection, silences.c.ends_at, now, MOST_SILENCES, "silences")
            made = connection.execute(silences.insert().values(**values))
            return replace(silence, id=_new_id(made))

    def expire_silence(self, number: int, now: float) -> bool:
        """Ends it now; one that has not begun never does. False when no such silence is left."""
        change = silences.update().where(silences.c.id == number, silences.c.ends_at > now)
        with self._engine.begin() as connection:
            return bool(connection.execute(change.values(ends_at=now)).rowcount)

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """In place of an earlier one."""
        at = acknowledgement.at
        with self._engine.begin() as connection:
            _prune(connection, acknowledgements.c.at, at)
            _remove(connection, acknowledgement.dedup_key)
            connection.execute(
                acknowledgements.insert().values(**_columns(acknowledgement, acknowledgements))
            )

    def unacknowledge(self, dedup_key: str) -> bool:
        with self._engine.begin() as connection:
            return _remove(connection, dedup_key)

    def add_maintenance(self, window: OneOff, now: float) -> OneOff:
        """With the number that it gets. Raises RefusedError when there are too many."""
        values = _columns(window, maintenance) | {"targets": json.dumps(window.targets)}
        values.pop("id")
        with self._engine.begin() as connection:
            _prune(connection, maintenance.c.end, now)
            _bounded(connection, maintenance.c.end, now, MOST_MAINTENANCE, "maintenance windows")
            made = connection.execute(maintenance.insert().values(**values))
            return replace(window, id=_new_id(made))

    def end_maintenance(self, number: int, now: float) -> bool:
        """Ends it now; one that has not begun never does. False when no such window is left."""
        change = maintenance.update().where(maintenance.c.id == number, maintenance.c.end > now)
        with self._engine.begin() as connection:
            return bool(connection.execute(change.values(end=now)).rowcount)


def _silences(connection: sa.Connection, since: float) -> list[Silence]:
    query = sa.select(silences).where(silences.c.ends_at > since).order_by(silences.c.ends_at, silences.c.id)
    return [Silence(**row) for row in connection.execute(query).mappings()]


def _maintenance(connection: sa.Connection, since: float) -> list[OneOff]:
    query = sa.select(maintenance).where(maintenance.c.end > since).order_by(maintenance.c.start)
    rows = (dict(row) for row in connection.execute(query).mappings())
    return [OneOff(**{**row, "targets": tuple(json.loads(row["targets"]))}) for row in rows]


def _columns(made: Silence | Acknowledgement | OneOff, table: sa.Table) -> dict[str, Any]:
    return {column.name: getattr(made, column.name) for column in table.columns}


def _new_id(result: sa.CursorResult[Any]) -> int:
    [number] = result.inserted_primary_key or (0,)
    return int(number)


def _prune(connection: sa.Connection, ended: sa.Column[float], now: float) -> None:
    connection.execute(ended.table.delete().where(ended < now - KEEP_ENDED))


def _bounded(connection: sa.Connection, ends: sa.Column[float], now: float, most: int, what: str) -> None:
    count = sa.select(sa.func.count()).select_from(ends.table).where(ends > now)
    if connection.execute(count).scalar_one() >= most:
        raise RefusedError("", f"there are {most} {what} already; end some first")


def _remove(connection: sa.Connection, dedup_key: str) -> bool:
    gone = acknowledgements.delete().where(acknowledgements.c.dedup_key == dedup_key)
    return bool(connection.execute(gone).rowcount)
