"""Brings a store of any earlier version to the present one.

A new table needs no step: `create_all` makes it. A step is needed when a table that exists changes.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.history.incidents import add_past
from monitor.history.numbers import Numbers, checked
from monitor.history.rows import ProbeRow
from monitor.history.tables import outbox, probe_results, schema, schema_version
from monitor.history.writing import add_probes

VERSION = 2
ROWS_AT_ONCE = 20_000


class NewerStoreError(SQLAlchemyError):
    """The store was written by a later version of this program."""


def migrate(connection: sa.Connection) -> None:
    """In the transaction of the connection, which must have the store to itself. Raises SQLAlchemyError."""
    found = version(connection)
    if found > VERSION:
        raise NewerStoreError(
            f"the store has version {found}, and this program knows versions up to {VERSION}: "
            "upgrade the program, or name another database"
        )
    schema.create_all(connection)
    for step in range(max(found, 1), VERSION):
        if found:
            STEPS[step](connection)
    connection.execute(schema_version.delete())
    connection.execute(schema_version.insert().values(version=VERSION))


def version(connection: sa.Connection) -> int:
    """0 for an empty database, 1 for what release 0.1 left, which had no version."""
    tables = sa.inspect(connection).get_table_names()
    if schema_version.name in tables:
        found = connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar_one()
        return int(found or 0)
    return 1 if probe_results.name in tables else 0


def _roll_up_what_is_there(connection: sa.Connection) -> None:
    """From 1 to 2: probes are rolled up, firing alerts are incidents."""
    binary = connection.dialect.type_compiler_instance.process(sa.LargeBinary())
    for name, kind in (("interval", "FLOAT"), ("phases", binary)):
        connection.exec_driver_sql(f'ALTER TABLE probe_results ADD COLUMN "{name}" {kind}')
    for index in outbox.indexes:
        index.create(connection, checkfirst=True)
    _roll_up_probes(connection)
    add_past(connection)


def _roll_up_probes(connection: sa.Connection) -> None:
    columns, last, numbers = probe_results.c, 0, Numbers()
    query = sa.select(probe_results).order_by(columns.id).limit(ROWS_AT_ONCE)
    while rows := connection.execute(query.where(columns.id > last)).all():
        last = rows[-1].id
        probes = [
            ProbeRow(row.at, row.target, row.check, row.reason, row.detail, row.duration, row.status)
            for row in rows
        ]
        add_probes(connection, probes, numbers.look_up(connection, {checked(each) for each in probes}))


STEPS: dict[int, Callable[[sa.Connection], None]] = {1: _roll_up_what_is_there}
"""From a version to the next."""
