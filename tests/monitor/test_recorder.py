from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from monitor import recorder
from monitor.history import Entry, History, Message
from monitor.metrics import AgentMetrics
from monitor.recorder import Recorder
from tests.servers import eventually


def cycle(at: float, *, tells: bool = False) -> Entry:
    messages = (Message("on-call", f"key {at}", f"body {at}"),) if tells else ()
    return Entry(at=at, probes=(), changed=(), standing=(), target="api", messages=messages)


class Kept:
    """A recorder over a SQLite file, which a test may lock."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "history.db"
        self.store = History(f"sqlite:///{self.file}")
        self.store.create()
        self.metrics = AgentMetrics(CollectorRegistry())
        self.stored = 0
        self.recorder = Recorder(self.store, self.metrics, lambda: 1000.0, self._stored)

    def _stored(self) -> None:
        self.stored += 1

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(self.file)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield

    @property
    def told(self) -> list[str]:
        return [queued.body for queued in self.store.due(1e12, limit=100_000)]

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(recorder, "RETRY_AFTER", 0.05)
    made = Kept(tmp_path)
    yield made
    made.store.close()


async def test_flush_stores_in_order_and_says_so(kept: Kept) -> None:
    for at in range(3):
        kept.recorder.add(cycle(at, tells=True))
    assert await kept.recorder.flush()
    assert kept.told == ["body 0", "body 1", "body 2"]
    assert kept.stored == 1


async def test_flush_of_nothing_touches_nothing(kept: Kept) -> None:
    with kept.locked():
        assert await kept.recorder.flush()
    assert kept.stored == 0


async def test_what_a_locked_store_refuses_is_kept_in_order(kept: Kept) -> None:
    kept.recorder.add(cycle(0, tells=True))
    with kept.locked():
        assert not await kept.recorder.flush()
        kept.recorder.add(cycle(1, tells=True))
        assert not await kept.recorder.flush()
        assert kept.metric("monitor_store_backlog") == 2
    assert await kept.recorder.flush()
    assert kept.told == ["body 0", "body 1"]
    assert kept.metric("monitor_store_errors_total") == 2
    assert kept.metric("monitor_store_backlog") == 0


async def test_measuring_never_waits_and_all_is_stored_once_the_lock_is_gone(kept: Kept) -> None:
    running = asyncio.create_task(kept.recorder.run())
    with kept.locked():
        for at in range(50):
            kept.recorder.add(cycle(at, tells=True))
        await eventually(lambda: (kept.metric("monitor_store_errors_total") or 0) >= 2)
        assert kept.stored == 0
    await eventually(lambda: len(kept.told) == 50)
    assert kept.told == [f"body {at}" for at in range(50)]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_two_flushes_do_not_overtake_each_other(kept: Kept) -> None:
    for at in range(recorder.BATCH + 10):
        kept.recorder.add(cycle(at, tells=True))
    assert all(await asyncio.gather(kept.recorder.flush(), kept.recorder.flush()))
    assert kept.told == [f"body {at}" for at in range(recorder.BATCH + 10)]


async def test_the_backlog_is_bounded_and_what_told_somebody_goes_last(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BACKLOG", 10)
    for at in range(30):
        kept.recorder.add(cycle(at, tells=at % 10 == 0))
    assert len(kept.recorder._waiting) == 10
    assert await kept.recorder.flush()
    assert kept.told == ["body 0", "body 10", "body 20"]


async def test_when_all_of_it_told_somebody_the_oldest_goes(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BACKLOG", 3)
    for at in range(5):
        kept.recorder.add(cycle(at, tells=True))
    assert await kept.recorder.flush()
    assert kept.told == ["body 2", "body 3", "body 4"]
