"""What outlives the process: probe results, alerts, their transitions, and the outbox of what must be sent.

One transaction records a cycle: a transition and the messages that tell of it are stored together or not
at all.
Every method blocks; the agent calls them from its storage thread.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from monitor.alerting import Alert, Key, State
from monitor.conversations import Conversation, as_json, from_json
from monitor.history.rows import Entry, Queued
from monitor.history.tables import alerts, conversations, deploys, outbox, probe_results, schema, transitions

KEEP_RESULTS = 31 * 86400.0
KEEP_TRANSITIONS = 400 * 86400.0
KEEP_CONVERSATIONS = 2 * 86400.0
"""After their end: long enough to see that an alert flaps."""
BUSY_TIMEOUT = 5.0


class History:
    def __init__(self, url: str) -> None:
        where = sa.make_url(url)
        if where.get_backend_name() == "postgresql":
            # SQLAlchemy's own choice of a driver has changed once already.
            where = where.set(drivername="postgresql+psycopg2")
        self._engine = sa.create_engine(where, **_engine_options(where))
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _sqlite_pragmas)

    @property
    def engine(self) -> sa.Engine:
        """For the other tables of `schema`."""
        return self._engine

    def create(self) -> None:
        schema.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def record(self, entries: Sequence[Entry]) -> None:
        """Stores whole cycles in one transaction, or nothing and raises sqlalchemy.exc.SQLAlchemyError."""
        with self._engine.begin() as connection:
            for entry in entries:
                _record(connection, entry)

    def standing_alerts(self) -> list[Alert]:
        with self._engine.connect() as connection:
            return [_alert(row.alert) for row in connection.execute(sa.select(alerts.c.alert))]

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
            return [_alert(row.alert) for row in connection.execute(query)]

    def successes(self, since: float) -> Iterator[tuple[str, str, float, bool]]:
        """(target, check, at, success) of the probes since then, oldest first."""
        columns = probe_results.c
        query = (
            sa.select(columns.target, columns.check, columns.at, columns.reason)
            .where(columns.at >= since, columns.reason != "throttled")
            .order_by(columns.at)
        )
        with self._engine.connect().execution_options(yield_per=10_000) as connection:
            for row in connection.execute(query):
                yield row.target, row.check, row.at, row.reason == "ok"

    def due(self, now: float, busy: Collection[str] = (), limit: int = 100) -> list[Queued]:
        """Messages to send now, but those for `busy` notifiers.

        One waits behind an earlier one with its key, so that "resolved" never overtakes "firing".
        """
        earlier = outbox.alias("earlier")
        blocked = (
            sa.select(earlier.c.id)
            .where(
                earlier.c.state == "waiting",
                earlier.c.notifier == outbox.c.notifier,
                earlier.c.dedup_key == outbox.c.dedup_key,
                earlier.c.id < outbox.c.id,
            )
            .exists()
        )
        query = (
            sa.select(*(outbox.c[name] for name in Queued._fields))
            .where(
                outbox.c.state == "waiting",
                outbox.c.due_at <= now,
                outbox.c.notifier.not_in(busy),
                ~blocked,
            )
            .order_by(outbox.c.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [Queued(*row) for row in connection.execute(query)]

    def delivered(self, message_id: int, now: float) -> None:
        self._update(message_id, state="delivered", ended_at=now, attempts=outbox.c.attempts + 1, error="")

    def postponed(self, message_id: int, due_at: float, error: str) -> None:
        self._update(message_id, due_at=due_at, attempts=outbox.c.attempts + 1, error=_storable(error[:500]))

    def given_up(self, message_id: int, now: float, error: str) -> None:
        self._update(
            message_id,
            state="dead",
            ended_at=now,
            attempts=outbox.c.attempts + 1,
            error=_storable(error[:500]),
        )

    def waiting(self) -> int:
        with self._engine.connect() as connection:
            query = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == "waiting")
            return int(connection.execute(query).scalar_one())

    def prune(self, now: float) -> None:
        with self._engine.begin() as connection:
            connection.execute(probe_results.delete().where(probe_results.c.at < now - KEEP_RESULTS))
            connection.execute(transitions.delete().where(transitions.c.at < now - KEEP_TRANSITIONS))
            connection.execute(deploys.delete().where(deploys.c.at < now - KEEP_TRANSITIONS))
            ended = conversations.c.ended_at
            connection.execute(conversations.delete().where(ended < now - KEEP_CONVERSATIONS))
            connection.execute(outbox.delete().where(outbox.c.ended_at < now - KEEP_TRANSITIONS))

    def _update(self, message_id: int, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(outbox.update().where(outbox.c.id == message_id).values(**values))


def _record(connection: sa.Connection, entry: Entry) -> None:
    if entry.probes:
        rows = [{**row._asdict(), "detail": _storable(row.detail)} for row in entry.probes]
        connection.execute(probe_results.insert(), rows)
    connection.execute(alerts.delete().where(alerts.c.target == entry.target))
    if entry.standing:
        connection.execute(alerts.insert(), [_stored(alert) for alert in entry.standing])
    for alert in entry.changed:
        values = {"at": entry.at, "state": str(alert.state), "alert": _json(alert)}
        connection.execute(transitions.insert().values(**values))
    for deploy in entry.deploys:
        values = {name: _storable(text) for name, text in deploy._asdict().items() if name != "at"}
        connection.execute(deploys.insert().values(at=deploy.at, **values))
    for conversation in entry.conversations:
        _replace(connection, conversation)
    for message in entry.messages:
        values = {**message._asdict(), "body": _storable(message.body)}
        values |= {"created_at": entry.at, "due_at": entry.at}
        connection.execute(outbox.insert().values(**values))


def _replace(connection: sa.Connection, conversation: Conversation) -> None:
    columns = conversations.c
    same = (columns[name] == value for name, value in conversation.key._asdict().items())
    connection.execute(conversations.delete().where(*same))
    values = {"ended_at": conversation.ended_at, "conversation": as_json(conversation)}
    connection.execute(conversations.insert().values(**conversation.key._asdict(), **values))


def _storable(text: str) -> str:
    """What a target said may hold characters (NUL, halves of surrogate pairs) that no database takes."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _stored(alert: Alert) -> dict[str, str]:
    return {**alert.key._asdict(), "alert": _json(alert)}


def _json(alert: Alert) -> str:
    return json.dumps(dataclasses.asdict(alert))


def _alert(text: str) -> Alert:
    fields = json.loads(text)
    return Alert(**{**fields, "key": Key(*fields["key"]), "state": State(fields["state"])})


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
