"""What becomes of cycles while the store can't take them; test_store_away.py has worse faults."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError

from monitor import recorder
from monitor.history import Entry, History, Message
from monitor.metrics import AgentMetrics
from monitor.notify.journal import unsent
from monitor.notify.letters import Letter, Progress
from tests.monitor.history.making import probe
from tests.monitor.making import FIRING, recorder_of
from tests.servers import eventually


def cycle(at: float, *, tells: bool = False) -> Entry:
    messages = (Message("on-call", f"key {at}", f"body {at}"),) if tells else ()
    return Entry(at=at, probes=(), changed=(), standing=(), target="api", messages=messages)


class Inbox:
    """A notifier that keeps what it gets."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    async def send(self, body: str, dedup_key: str) -> None:
        self.bodies.append(body)

    async def close(self) -> None:
        """Nothing is held open."""


class Kept:
    """A recorder over a SQLite file, which a test may lock, and the outbox behind it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "history.db"
        self.store = History(f"sqlite:///{self.file}")
        self.store.create()
        self.metrics = AgentMetrics(CollectorRegistry())
        self.now = 1000.0
        self.inbox = Inbox()
        self.recorder, self.outbox = recorder_of(
            self.store, self.metrics, lambda: self.now, {"on-call": self.inbox}
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(self.file)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield

    @property
    def told(self) -> list[str]:
        """Bodies in the outbox table."""
        with contextlib.closing(sqlite3.connect(self.file)) as reader:
            return [body for (body,) in reader.execute("SELECT body FROM outbox ORDER BY id")]

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(recorder, "RETRY_AFTER", 0.05)
    made = Kept(tmp_path)
    yield made
    made.store.close()


@contextlib.asynccontextmanager
async def running(kept: Kept) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in (kept.recorder, kept.outbox)]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_flush_stores_in_order(kept: Kept) -> None:
    for at in range(3):
        kept.recorder.add(cycle(at, tells=True))
    assert await kept.recorder.flush()
    assert kept.told == ["body 0", "body 1", "body 2"]


async def test_flush_of_nothing_touches_nothing(kept: Kept) -> None:
    with kept.locked():
        assert await kept.recorder.flush()
    assert kept.metric("monitor_store_errors_total") == 0


async def test_what_is_stored_is_sent_and_what_is_not_yet_waits(kept: Kept) -> None:
    kept.now = 5.0
    kept.recorder.add(cycle(5.0, tells=True))
    await kept.outbox.send_due()
    assert kept.inbox.bodies == []
    await kept.recorder.flush()
    await kept.outbox.send_due()
    assert kept.inbox.bodies == ["body 5.0"]
    assert unsent(kept.store.engine) == []


async def test_a_store_that_says_nothing_is_waited_for_two_seconds(kept: Kept) -> None:
    kept.recorder.add(cycle(1000.0, tells=True))
    kept.now += 1.9
    await kept.outbox.send_due()
    assert kept.inbox.bodies == []
    kept.now += 0.1
    await kept.outbox.send_due()
    assert kept.inbox.bodies == ["body 1000.0"]


async def test_a_store_that_refuses_holds_no_message_back(kept: Kept) -> None:
    kept.recorder.add(cycle(1000.0, tells=True))
    with kept.locked():
        assert not await kept.recorder.flush()
        await kept.outbox.send_due()
        kept.recorder.add(replace(cycle(1000.0, tells=True), messages=(Message("on-call", "2", "later"),)))
        await kept.outbox.send_due()
        assert kept.inbox.bodies == ["body 1000.0", "later"]
        assert kept.recorder.trouble is not None
        assert len(kept.recorder) == 2
    await kept.recorder.flush_all()
    await kept.outbox.send_due()
    assert kept.told == ["body 1000.0", "later"]
    assert unsent(kept.store.engine) == []
    assert kept.inbox.bodies == ["body 1000.0", "later"]
    assert kept.recorder.trouble is None


async def test_a_message_that_is_sent_while_its_cycle_is_stored_is_known_as_sent(kept: Kept) -> None:
    """It waited too long: the commit comes through after all, when it is on its way."""
    kept.recorder.add(cycle(1000.0, tells=True))
    kept.now += 5
    await asyncio.gather(kept.recorder.flush(), kept.outbox.send_due())
    await kept.outbox.send_due()
    assert kept.inbox.bodies == ["body 1000.0"]
    assert unsent(kept.store.engine) == []


async def test_a_commit_of_which_nobody_heard_is_not_repeated(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = kept.store.record

    def torn(*args: object) -> list[int]:
        record(*args)  # type: ignore[arg-type]
        raise OperationalError("COMMIT", {}, OSError("server closed the connection"))

    kept.recorder.add(cycle(1000.0, tells=True))
    monkeypatch.setattr(kept.store, "record", torn)
    assert not await kept.recorder.flush()
    monkeypatch.setattr(kept.store, "record", record)
    await kept.outbox.send_due()
    assert await kept.recorder.flush()
    await kept.outbox.send_due()
    assert kept.told == kept.inbox.bodies == ["body 1000.0"]
    assert unsent(kept.store.engine) == []


async def test_what_a_locked_store_refuses_is_kept_in_order(kept: Kept) -> None:
    kept.recorder.add(cycle(0, tells=True))
    with kept.locked():
        assert not await kept.recorder.flush()
        kept.recorder.add(cycle(1, tells=True))
        assert not await kept.recorder.flush()
        assert kept.metric("monitor_store_backlog") == 2
    await kept.recorder.flush_all()
    assert kept.told == ["body 0", "body 1"]
    assert kept.metric("monitor_store_errors_total") == 2
    assert kept.metric("monitor_store_backlog") == 0


async def test_measuring_never_waits_and_all_is_stored_once_the_lock_is_gone(kept: Kept) -> None:
    async with running(kept):
        with kept.locked():
            for at in range(50):
                kept.recorder.add(cycle(at, tells=True))
            await eventually(lambda: (kept.metric("monitor_store_errors_total") or 0) >= 2)
            await eventually(lambda: len(kept.inbox.bodies) == 50)
            assert len(kept.recorder) == 50
        await eventually(lambda: len(kept.told) == 50)
        await eventually(lambda: unsent(kept.store.engine) == [])
    assert kept.told == [f"body {at}" for at in range(50)]
    assert sorted(kept.inbox.bodies) == sorted(kept.told)


async def test_two_flushes_do_not_overtake_each_other(kept: Kept) -> None:
    for at in range(recorder.BATCH + 10):
        kept.recorder.add(cycle(at, tells=True))
    assert all(await asyncio.gather(kept.recorder.flush(), kept.recorder.flush()))
    assert kept.told == [f"body {at}" for at in range(recorder.BATCH + 10)]


async def test_one_cycle_that_the_store_will_never_take_goes_and_the_others_stay(kept: Kept) -> None:
    """An alert twice in one cycle breaks a primary key."""
    for at in range(8):
        kept.recorder.add(cycle(at, tells=True))
    kept.recorder.add(replace(cycle(8.0, tells=True), standing=(FIRING, FIRING)))
    for at in range(9, 12):
        kept.recorder.add(cycle(at, tells=True))
    await kept.recorder.flush_all()
    await kept.outbox.send_due()
    assert kept.told == [f"body {at}" for at in range(12) if at != 8]
    assert "body 8.0" in kept.inbox.bodies
    assert len(kept.inbox.bodies) == 12
    assert kept.metric("monitor_store_dropped_total") == 1


async def test_the_backlog_is_bounded_and_what_told_somebody_goes_last(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BACKLOG", 10)
    for at in range(30):
        kept.recorder.add(cycle(at, tells=at % 10 == 0))
    assert len(kept.recorder) == 10
    assert await kept.recorder.flush()
    assert kept.told == ["body 0", "body 10", "body 20"]


async def test_the_backlog_is_bounded_in_bytes_and_probe_results_go_first(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BACKLOG_BYTES", 40_000)
    with kept.locked():
        assert await kept.recorder.flush()
        for at in range(200):
            told = replace(cycle(at, tells=at % 10 == 0), probes=(probe(at, detail="x" * 500),))
            kept.recorder.add(told)
        assert 20 < len(kept.recorder) < 60
    await kept.recorder.flush_all()
    assert kept.told == [f"body {at}" for at in range(0, 200, 10)]
    found = [at for _, _, at, _ in kept.store.successes(0)]
    assert found == sorted(found)
    assert found[-1] == 199, "of probe results the newest stay"
    kept.recorder.add(cycle(200.0))
    assert kept.recorder._bytes < 1000, "what is stored takes no memory any more"


async def test_results_beside_a_transition_go_before_the_transition(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BACKLOG_BYTES", 30_000)
    for at in range(10):
        probes = tuple(probe(at + each / 10, detail="x" * 500) for each in range(5))
        kept.recorder.add(replace(cycle(at, tells=True), probes=probes))
    await kept.recorder.flush_all()
    assert kept.told == [f"body {at}" for at in range(10)]
    assert {int(at) for _, _, at, _ in kept.store.successes(0)} == set(range(4, 10))
    assert kept.metric("monitor_store_dropped_total") == 4


async def test_when_all_of_it_told_somebody_the_oldest_goes_and_its_message_is_sent(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BACKLOG", 3)
    for at in range(5):
        kept.recorder.add(cycle(at, tells=True))
    assert await kept.recorder.flush()
    await kept.outbox.send_due()
    assert kept.told == ["body 2", "body 3", "body 4"]
    assert sorted(kept.inbox.bodies) == [f"body {at}" for at in range(5)]


async def test_what_has_arrived_goes_before_what_has_not(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "BACKLOG", 3)
    for at in (1, 2, 3):
        kept.recorder.add(cycle(at, tells=True))
    await kept.outbox.send_due()
    kept.now = 2000.0
    kept.recorder.add(cycle(2000.0, tells=True))
    kept.recorder.add(cycle(2000.5, tells=True))
    await kept.recorder.flush()
    assert kept.told == ["body 3", "body 2000.0", "body 2000.5"]
    assert [letter.progress.state for letter in unsent(kept.store.engine)] == ["waiting"] * 2


def test_a_letter_that_was_sent_first_says_so_in_its_row() -> None:
    letter = Letter.new(Message("on-call", "key", "body"), 100.0, released=True)
    letter.delivered(130.0)
    assert letter.progress == Progress("delivered", 1, 100.0, 130.0, "delivered before it was stored")
