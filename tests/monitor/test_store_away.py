"""Real faults of the store: everybody is told meanwhile, all is stored afterwards, nobody is told twice."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from monitor import recorder
from monitor.history import Entry, History, Message, outbox, store
from monitor.metrics import AgentMetrics
from monitor.notify.journal import settle, unsent
from monitor.notify.outbox import Outbox
from monitor.recorder import Recorder
from monitor.storecalls import StoreCalls, StoreSilentError
from tests.monitor.history.making import probe
from tests.monitor.test_recorder import Inbox
from tests.servers import Postgres, eventually, run_postgres


@dataclass
class Agent:
    """The part of an agent that stores and sends, running; `silence` is its patience with the store."""

    url: str
    silence: float = 1.0
    inbox: Inbox = field(default_factory=Inbox)
    put: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = History(self.url)
        self.store.create()
        self.metrics = AgentMetrics(CollectorRegistry())
        self.calls = StoreCalls(self.store.engine, self.silence)
        self.outbox = Outbox(self._settle, {"on-call": self.inbox}, self.metrics, time.time)
        self.recorder = Recorder(self.store, self.calls, self.metrics, time.time, self.outbox)

    async def _settle(self, moved: object) -> None:
        await self.calls(settle, self.store.engine, moved)  # type: ignore[arg-type]

    def cycle(self, *, size: int = 0) -> None:
        """One that tells on-call something; `size` bytes of what a probe saw."""
        now, body = time.time(), f"page {len(self.put)}"
        self.put.append(body)
        probes = tuple(probe(now + number / 1e4, detail="x" * 500) for number in range(size // 500))
        self.recorder.add(Entry(now, probes, (), (), "api", (Message("on-call", body, body),)))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each.run()) for each in (self.recorder, self.outbox)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.calls.close()
            self.store.close()

    async def tells(self, within: float = 10) -> None:
        """Another message, which arrives whatever the store does."""
        self.cycle()
        await eventually(lambda: self.put[-1] in self.inbox.bodies, within, self.put[-1])

    async def in_trouble(self) -> str:
        await eventually(lambda: self.recorder.trouble is not None, 15, "the store refuses")
        return self.recorder.trouble.why if self.recorder.trouble else ""

    async def settled(self) -> None:
        """All is stored, each message once and as sent; none was sent twice."""
        await eventually(lambda: len(self.recorder) == 0, 20, "all cycles are stored")
        await eventually(lambda: not self._unsent(), 20, "all messages are known as sent")
        with self.store.engine.connect() as connection:
            rows = connection.execute(sa.select(outbox.c.body).order_by(outbox.c.id)).scalars().all()
        assert list(rows) == self.put
        assert sorted(self.inbox.bodies) == sorted(self.put)

    def _unsent(self) -> list[str]:
        return [letter.message.body for letter in unsent(self.store.engine)]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 0.5)
    monkeypatch.setattr(recorder, "RETRY_AFTER", 0.1)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """One that tests may suspend and stop."""
    with run_postgres() as server:
        yield server


async def test_a_sqlite_file_that_somebody_else_locks(tmp_path: Path) -> None:
    agent = Agent(f"sqlite:///{tmp_path / 'agent.db'}")
    async with agent.running():
        await agent.tells()
        with contextlib.closing(sqlite3.connect(tmp_path / "agent.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            await agent.tells()
            assert "locked" in await agent.in_trouble()
            await agent.tells(within=1)
        await agent.tells()
        await agent.settled()


async def test_a_full_disk(tmp_path: Path) -> None:
    """As far as this process is concerned: its files may not grow."""
    agent = Agent(f"sqlite:///{tmp_path / 'agent.db'}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with agent.running():
        await agent.tells()
        used = max(file.stat().st_size for file in tmp_path.iterdir())  # noqa: ASYNC240 (nothing else runs)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (used + 50_000, before[1]))
            for _ in range(3):
                agent.cycle(size=200_000)
            assert await agent.in_trouble() in ("database or disk is full", "disk I/O error")
            await agent.tells(within=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await agent.tells()
        await agent.settled()


async def test_a_postgresql_that_is_suspended(own_postgres: Postgres) -> None:
    """Its kernel goes on answering for it, so that nothing ever fails by itself."""
    with own_postgres.database() as url:
        agent = Agent(url)
        async with agent.running():
            await agent.tells()
            with suspended(own_postgres):
                await agent.tells()
                assert await agent.in_trouble() == "no answer within 1 s"
                await agent.tells(within=1)
                await agent.tells(within=1)
            await agent.tells()
            await agent.settled()


async def test_connections_that_are_killed_in_mid_transaction(own_postgres: Postgres) -> None:
    with own_postgres.database() as url:
        agent = Agent(url)
        async with agent.running():
            for _ in range(20):
                agent.cycle(size=10_000)
                await asyncio.sleep(0.03)
                await asyncio.to_thread(
                    own_postgres.execute,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'",
                )
            await agent.settled()


async def test_a_postgresql_that_lets_nobody_in(own_postgres: Postgres) -> None:
    with own_postgres.database() as url:
        agent = Agent(url)
        async with agent.running():
            await agent.tells()
            with refusing(own_postgres, url.rpartition("/")[2]):
                await agent.tells()
                await agent.in_trouble()
                await agent.tells(within=1)
            await agent.tells()
            await agent.settled()


async def test_who_starts_again_sends_nothing_that_was_sent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'agent.db'}"
    first = Agent(url)
    async with first.running():
        await first.tells()
        await first.settled()
    again = Agent(url)
    again.outbox.post(unsent(again.store.engine))
    async with again.running():
        await again.tells()
    assert (first.inbox.bodies, again.inbox.bodies) == (["page 0"], ["page 0"])


async def test_a_call_that_does_not_come_back_in_time_frees_its_thread(own_postgres: Postgres) -> None:
    made = History(own_postgres.url())
    calls = StoreCalls(made.engine, 0.3)
    for _ in range(8):
        with pytest.raises(StoreSilentError, match=r"no answer within 0\.3 s"):
            await calls(_sleep, made.engine)
    calls.close()
    made.close()


async def test_a_postgresql_that_is_too_slow_for_so_much_at_once_gets_less(
    own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(connection: sa.Connection, entry: Entry) -> list[int]:
        time.sleep(0.06)
        return record(connection, entry)

    record = store._record
    monkeypatch.setattr(store, "_record", slowly)
    with own_postgres.database() as url:
        await too_much(Agent(url, silence=0.5))


async def too_much(agent: Agent) -> None:
    for _ in range(40):
        agent.cycle()
    async with agent.running():
        assert await agent.in_trouble() == "no answer within 0.5 s"
        await agent.settled()


def _sleep(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_sleep(20)"))


@contextlib.contextmanager
def suspended(server: Postgres) -> Iterator[None]:
    """All processes of the cluster."""
    found = processes(server)
    for each in found:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in reversed(found):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def refusing(server: Postgres, name: str) -> Iterator[None]:
    """Ends all connections to a database, and begins none."""
    server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def processes(server: Postgres) -> list[psutil.Process]:
    [main] = [
        psutil.Process(each.pid)
        for each in psutil.net_connections("tcp")
        if each.pid and each.status == psutil.CONN_LISTEN and each.laddr[1:] == (server.port,)
    ]
    return [main, *main.children(recursive=True)]
