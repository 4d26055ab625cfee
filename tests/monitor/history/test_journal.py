"""How far messages have come, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from monitor.history import History, outbox
from monitor.notify.journal import Batch, settle, unsent
from monitor.notify.letters import Progress
from tests.monitor.history.making import entry, message

DELIVERED = Progress("delivered", 1, 100.0, 130.0, "delivered before it was stored")
WAITING = Progress("waiting", 0, 100.0, None, "")


def states(store: History) -> list[tuple[str, str, int]]:
    columns = (outbox.c.body, outbox.c.state, outbox.c.attempts)
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(outbox.c.id))]


def test_what_waits_comes_back_as_it_was_oldest_first(store: History) -> None:
    first, second = store.record([entry(messages=(message("a"), message("b", "2", "chat")))])
    settle(store.engine, [(first, Progress("waiting", 3, 500.0, None, "answered 503" + "!" * 5000))])
    a, b = unsent(store.engine)
    assert (a.message, a.id, a.created_at, a.due_at, a.attempts) == (message("a"), first, 100.0, 500.0, 3)
    assert a.error == ("answered 503" + "!" * 5000)[:500]
    assert (b.message, b.id, b.attempts, b.released) == (message("b", "2", "chat"), second, 0, True)
    assert [letter.id for letter in unsent(store.engine, limit=1)] == [second]


@pytest.mark.parametrize("state", ["delivered", "dead"])
def test_what_has_ended_is_not_sent_again(store: History, state: str) -> None:
    [row] = store.record([entry(messages=(message(),))])
    settle(store.engine, [(row, Progress(state, 1, 100.0, 130.0, "nul \0, half a pair \ud83d"))])  # type: ignore[arg-type]
    assert unsent(store.engine) == []


def test_a_batch_is_stored_with_what_became_of_its_messages_meanwhile(store: History) -> None:
    batch = Batch([DELIVERED, WAITING])
    store.record([entry(messages=(message("a"), message("b", "2")))], batch)
    assert states(store) == [("a", "delivered", 1), ("b", "waiting", 0)]


def test_a_batch_that_is_stored_twice_is_there_once(store: History) -> None:
    """As when the connection broke while the commit was under way."""
    earlier, batch = Batch([WAITING]), Batch([WAITING, WAITING])
    store.record([entry(messages=(message("before"),))], earlier)
    entries = [entry(messages=(message("a"), message("b", "2")))]
    assert store.record(entries, batch) == store.record(entries, batch)
    assert [body for body, _, _ in states(store)] == ["before", "a", "b"]


def test_a_batch_that_was_rolled_back_is_stored_at_the_next_try(store: History) -> None:
    class Torn(Batch):
        def end(self, connection: sa.Connection, ids: list[int]) -> None:
            raise OSError("gone")

    batch = Torn([WAITING])
    with pytest.raises(OSError, match="gone"):
        store.record([entry(messages=(message(),))], batch)
    store.record([entry(messages=(message(),))], Batch([WAITING], name=batch.name))
    assert len(states(store)) == 1
