"""The outbox table: what was not sent when the agent last stopped, and how far each message has come.

A commit of which nobody heard whether it was done (the connection broke) may be repeated safely: the last
batch of cycles is known by name, in the transaction that stored it.
Every function blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from monitor.history import Message, outbox
from monitor.history.tables import batches
from monitor.history.writing import storable
from monitor.notify.letters import Letter, Progress

LONGEST_ERROR = 500
MOST_UNSENT = 20_000
RECORDER = "recorder"


@dataclass(slots=True)
class Batch:
    """Cycles that are stored together, however often it takes. `progress`: of their messages, in order."""

    progress: Sequence[Progress] = ()
    name: str = field(default_factory=lambda: uuid4().hex)

    def stored(self, connection: sa.Connection) -> list[int] | None:
        """The ids of its messages if this batch is in the store already."""
        mine = (batches.c.writer == RECORDER, batches.c.batch == self.name)
        found = connection.execute(sa.select(batches.c.message_ids).where(*mine)).scalar()
        if found is None:
            return None
        ids: list[int] = json.loads(found)
        self._settle(connection, ids)
        return ids

    def end(self, connection: sa.Connection, ids: list[int]) -> None:
        """`ids`: of the rows that were just made for its messages."""
        self._settle(connection, ids)
        connection.execute(batches.delete().where(batches.c.writer == RECORDER))
        last = {"writer": RECORDER, "batch": self.name, "message_ids": json.dumps(ids)}
        connection.execute(batches.insert().values(**last))

    def _settle(self, connection: sa.Connection, ids: list[int]) -> None:
        """Of what was sent from memory, before there were rows or anybody knew of them."""
        settle_in(connection, [pair for pair in zip(ids, self.progress, strict=True) if pair[1].attempts])


def unsent(engine: sa.Engine, limit: int = MOST_UNSENT) -> list[Letter]:
    """The newest of those that wait, oldest first."""
    columns = outbox.c
    query = sa.select(outbox).where(columns.state == "waiting").order_by(columns.id.desc()).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [
        Letter(
            Message(row.notifier, row.dedup_key, row.body),
            created_at=row.created_at,
            due_at=row.due_at,
            attempts=row.attempts,
            id=row.id,
            released=True,
            error=row.error,
        )
        for row in reversed(rows)
    ]


def reached(engine: sa.Engine) -> list[tuple[str, str, float]]:
    """(receiver, dedup key, at) of what was delivered about alerts of which other messages still wait."""
    waiting = sa.select(outbox.c.dedup_key).where(outbox.c.state == "waiting")
    query = sa.select(outbox.c.notifier, outbox.c.dedup_key, outbox.c.ended_at).where(
        outbox.c.state == "delivered", outbox.c.dedup_key.in_(waiting)
    )
    with engine.connect() as connection:
        return [(row.notifier, row.dedup_key, row.ended_at) for row in connection.execute(query)]


def missed(engine: sa.Engine, limit: int = MOST_UNSENT) -> list[tuple[str, str]]:
    """(receiver, dedup key) of what was given up, and nothing else of the same delivered; the newest last."""
    told = outbox.alias("told")
    same = (told.c.notifier == outbox.c.notifier, told.c.dedup_key == outbox.c.dedup_key)
    heard = sa.select(told.c.id).where(*same, told.c.state == "delivered").exists()
    query = sa.select(outbox.c.notifier, outbox.c.dedup_key).where(outbox.c.state == "dead", ~heard)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(outbox.c.id.desc()).limit(limit)).all()
    return [(row.notifier, row.dedup_key) for row in reversed(rows)]


def settle(engine: sa.Engine, moved: Sequence[tuple[int, Progress]]) -> None:
    """Writes down how far these have come, all or none of them."""
    with engine.begin() as connection:
        settle_in(connection, moved)


def settle_in(connection: sa.Connection, moved: Iterable[tuple[int, Progress]]) -> None:
    rows = [
        {**each._asdict(), "row": id_, "error": storable(each.error[:LONGEST_ERROR])} for id_, each in moved
    ]
    if rows:
        changed: dict[str, Any] = {name: sa.bindparam(name) for name in Progress._fields}
        connection.execute(outbox.update().where(outbox.c.id == sa.bindparam("row")).values(**changed), rows)
