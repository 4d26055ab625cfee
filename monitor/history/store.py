"""What outlives the process: probe results, alerts, their transitions, and the outbox of what must be sent.

One transaction records a cycle: a transition and the messages that tell of it are stored together or not
at all.
Every method blocks; the agent calls them from its storage thread.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from monitor.alerting import Alert, State
from monitor.conversations import Conversation, as_json, from_json
from monitor.history.incidents import add_changes, alert_json, alert_of
from monitor.history.migrations import migrate
from monitor.history.numbers import Numbers, named
from monitor.history.pruning import prune
from monitor.history.reading import Reader
from monitor.history.rows import Entry, Message, Once
from monitor.history.tables import alerts, conversations, deploys, outbox, transitions
from monitor.history.writing import Outcomes, learn, outcomes_between, storable

BUSY_TIMEOUT = 5.0
WRITERS = 0x9AC1011
"""The lock by which those that write to one PostgreSQL wait for each other."""


class History:
    def __init__(self, url: str) -> None:
        where = sa.make_url(url)
        if where.get_backend_name() == "postgresql":
            # SQLAlchemy's own choice of a driver has changed once already.
            where = where.set(drivername="postgresql+psycopg2")
        self._engine = sa.create_engine(where, **_engine_options(where))
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _sqlite_pragmas)
        self._numbers = Numbers()
        self.read = Reader(self._engine)

    @property
    def engine(self) -> sa.Engine:
        """For the other tables of `schema`."""
        return self._engine

    def create(self) -> None:
        """Makes an empty store, or brings an older one to the present version.

        Raises SQLAlchemyError: NewerStoreError for one that a later version of this program wrote.
        """
        with self._writing() as connection:
            migrate(connection)

    def close(self) -> None:
        self._engine.dispose()

    def record(self, entries: Sequence[Entry], once: Once | None = None) -> list[int]:
        """Stores whole cycles in one transaction, or nothing and raises sqlalchemy.exc.SQLAlchemyError.

        The ids of their messages in the outbox, in order. What `once` knows to be stored is left as it is.
        """
        with self._writing(lasting=any(entry.changed or entry.messages for entry in entries)) as connection:
            if once and (known := once.stored(connection)) is not None:
                return known
            ids = [id_ for entry in entries for id_ in _record(connection, entry)]
            numbers = self._numbers.look_up(connection, named(entries))
            learn(connection, entries, numbers)
            if once:
                once.end(connection, ids)
        self._numbers.keep(numbers)
        return ids

    def has(self, once: Once) -> bool:
        """Whether its entries are stored, once all that is being written has ended."""
        with self._writing() as connection:
            return once.stored(connection) is not None

    def standing_alerts(self) -> list[Alert]:
        with self._engine.connect() as connection:
            return [alert_of(row.alert) for row in connection.execute(sa.select(alerts.c.alert))]

    def conversations(self) -> list[Conversation]:
        """Those that go on, and those that ended lately."""
        with self._engine.connect() as connection:
            query = sa.select(conversations.c.conversation)
            return [from_json(row.conversation) for row in connection.execute(query)]

    def resolved_alerts(self, since: float) -> list[Alert]:
        """Oldest first."""
        columns = transitions.c
        query = (
            sa.select(columns.alert)
            .where(columns.at >= since, columns.state == str(State.RESOLVED))
            .order_by(columns.at)
        )
        with self._engine.connect() as connection:
            return [alert_of(row.alert) for row in connection.execute(query)]

    def successes(self, since: float) -> Iterator[tuple[str, str, float, bool]]:
        """(target, check, at, success) of the probes since then that say something, oldest first."""
        found = sorted(
            (at, each.target, each.check, value == 1)
            for each in self.outcomes(since, math.inf)
            for at, value in zip(each.times, each.values, strict=True)
        )
        return ((target, check, at, success) for at, target, check, success in found)

    def outcomes(self, since: float, until: float) -> list[Outcomes]:
        """When the probes of each check succeeded or failed."""
        with self._engine.connect() as connection:
            return list(outcomes_between(connection, since, until))

    def prune(self, now: float) -> None:
        """In many short transactions, so that cycles can be recorded in between."""
        prune(self._writing, self._numbers, now)

    @contextlib.contextmanager
    def _writing(self, *, lasting: bool = False) -> Iterator[sa.Connection]:
        """A transaction that has the store to itself from its first statement on; readers go on reading.

        `lasting`: it is on the disk when it ends, so that no power cut undoes it. Others are soon.
        """
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITERS)))
            yield connection


def _record(connection: sa.Connection, entry: Entry) -> list[int]:
    connection.execute(alerts.delete().where(alerts.c.target == entry.target))
    if entry.standing:
        connection.execute(
            alerts.insert(), [{**alert.key._asdict(), "alert": alert_json(alert)} for alert in entry.standing]
        )
    for alert in entry.changed:
        values = {"at": entry.at, "state": str(alert.state), "alert": alert_json(alert)}
        connection.execute(transitions.insert().values(**values))
    for deploy in entry.deploys:
        values = {name: storable(text) for name, text in deploy._asdict().items() if name != "at"}
        connection.execute(deploys.insert().values(at=deploy.at, **values))
    for conversation in entry.conversations:
        _replace(connection, conversation)
    add_changes(connection, entry.changed, {each.key: each.dedup_key for each in entry.conversations})
    return [_enqueue(connection, message, entry.at) for message in entry.messages]


def _enqueue(connection: sa.Connection, message: Message, at: float) -> int:
    values = {**message._asdict(), "body": storable(message.body), "created_at": at, "due_at": at}
    made = connection.execute(outbox.insert().values(**values)).inserted_primary_key
    return int(made[0]) if made else 0


def _replace(connection: sa.Connection, conversation: Conversation) -> None:
    columns = conversations.c
    same = (columns[name] == value for name, value in conversation.key._asdict().items())
    connection.execute(conversations.delete().where(*same))
    values = {"ended_at": conversation.ended_at, "conversation": as_json(conversation)}
    connection.execute(conversations.insert().values(**conversation.key._asdict(), **values))


def _engine_options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT, "check_same_thread": False}}
    deadlines = {
        "connect_timeout": int(BUSY_TIMEOUT),
        "options": f"-c statement_timeout={BUSY_TIMEOUT * 1000:.0f}",
    }
    return {"pool_pre_ping": True, "pool_timeout": BUSY_TIMEOUT, "connect_args": deadlines}


def _sqlite_pragmas(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
