"""The agent as it is, in simulated time. Only the network is made up: what probes see, and who listens.

Recorder, outbox, quiet, schedule and APScheduler are the real ones; what they do each second though nothing
has changed is left out, so that hours pass in milliseconds.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import math
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from exporters.http import Phases, Reason, Request, Result
from monitor.agent import FORGET_EVERY, Agent
from monitor.alerting import Alert, Key
from monitor.config import Config
from monitor.history import Entry, History, schema
from monitor.notify import outbox as outbox_module
from monitor.notify.letters import Letter
from monitor.notify.outbox import Outbox
from monitor.objectives import Objectives, load_objectives
from monitor.quiet import Quiet
from monitor.quietstore import QuietStore
from monitor.recorder import Recorder
from monitor.storecalls import DEADLINE, StoreSilentError
from tests.monitor.simulated import SimulatedLoop
from tests.scenarios.receivers import Receivers
from tests.scenarios.worlds import Answer, Service

T = TypeVar("T")

BEGAN = 1_763_900_000.0
TICK = 5.0
"""Seconds between two looks at what time alone changes; the agent's own are one second apart."""
SELDOM = 15.0
"""Seconds between two looks at the clock, or half an interval if that is longer."""
LOOK, IDLE = 1.0, 300.0
KEPT_WAITING = 300
"""Cycles that told nobody anything wait for each other, up to so many, and are stored together."""


@cache
def objectives() -> Objectives:
    return load_objectives(Path("alerts/objectives.yml"))


@cache
def store() -> sa.Engine:
    """One file for all stories: what SQLAlchemy has compiled is good for the next."""
    folder = tempfile.mkdtemp(prefix="stories-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    history = History(f"sqlite:///{folder}/store.db")
    history.create()
    return history.engine


def empty(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for table in reversed(schema.sorted_tables):
            if table.name != "schema_version":
                connection.execute(table.delete())


class Loop(SimulatedLoop):
    """Threads do their work at once."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (as an executor does)
            done.set_exception(error)
        return done


class Patient(Recorder):
    """Stores at once what somebody is told of, and the rest by and by: a killed agent has stored it all.
    Readings, from which charts are drawn, are not kept."""

    heard: Callable[[Entry], None]

    def add(self, entry: Entry) -> None:
        arrived, self._arrived = self._arrived, asyncio.Event()
        super().add(replace(entry, readings=()))
        self._arrived = arrived
        self.heard(entry)
        if entry.messages or len(self._waiting) > KEPT_WAITING:
            arrived.set()


class Calm(Outbox):
    """Looks again when there is something to see."""

    def _look(self, sending: asyncio.TaskGroup) -> None:
        super()._look(sending)
        due = min((each.due_at for each in self._letters if each.released), default=math.inf)
        waits = all(each.released for each in self._letters) and not self._unwritten
        outbox_module.LOOK_EVERY = min(max(due - self._clock(), LOOK), IDLE) if waits else LOOK

    def post(self, letters: Iterable[Letter]) -> None:
        super().post(letters)
        self.wake()


class Calls:
    """Of the store, without threads; `silent` is when it says nothing."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def __call__(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        now, silent = self._simulation.now, self._simulation.silent
        if within(now, silent):
            await asyncio.sleep(DEADLINE)
            raise StoreSilentError(DEADLINE, lambda: not within(self._simulation.now, silent))
        return call(*args, **kwargs)

    def blocking(self, within: float, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return call(*args, **kwargs)

    def close(self) -> None:
        """As the real one's."""


class Asked(NamedTuple):
    at: float
    target: str
    path: str
    failed: bool


class Simulation:
    """One agent after the other, over one store. Times are seconds since the story began, but `clock`'s."""

    def __init__(
        self, config: Config, services: Sequence[Service], receivers: Receivers, *, phase: float = 0.0
    ) -> None:
        self.config = config
        self.services = {each.name: each for each in services}
        self.receivers = receivers
        self.loop = Loop()
        self.began = BEGAN
        self.slept = -phase
        self.set_by = 0.0
        self.blocked = 0.0
        self.locked: list[tuple[float, float]] = []
        self.silent: list[tuple[float, float]] = []
        """When the store says nothing."""
        self.away: list[tuple[float, float]] = []
        """When the agent was stopped, stood still, or did not know the time."""
        self.entries: list[tuple[float, Entry]] = []
        self.acts: list[tuple[float, Callable[[], Any]]] = []
        self.tick_every = TICK
        self.agent: Agent | None = None
        self.asked: list[Asked] = []
        self.errors = 0
        self.standing: dict[Key, Alert] = {}
        self.waiting: list[str] = []
        """Receivers that at the end have not got all that was said to them."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._talking = asyncio.Event()
        self._calls = Calls(self)
        self._store = store()
        empty(self._store)
        receivers.now = lambda: self.now
        receivers.sleep = asyncio.sleep

    @property
    def now(self) -> float:
        """In the world; the agent's clock may differ."""
        return self.loop.moment + self.slept

    def clock(self) -> float:
        return self.began + self.now + self.set_by

    # --- what the agent takes for the world

    async def probe(self, request: Request) -> Result:
        url, blocked = urlsplit(request.url), self.blocked
        service = self.services[str(url.hostname)]
        answer = service.answer(url.path, self.now)
        body = service.page(self.now).encode() if url.path == "/metrics" and answer.reason is None else b""
        began = self.loop.moment
        failed = answer.reason is not None or answer.takes > request.timeout
        self.asked.append(Asked(self.now, service.name, url.path, failed))
        await asyncio.sleep(min(answer.takes, request.timeout))
        stalled = self.blocked - blocked
        if answer.takes > request.timeout and stalled:
            await asyncio.sleep(min(stalled, request.timeout))
        return _result(answer, request, self.loop.moment - began, stalled, body)

    async def close(self) -> None:
        """As a Prober's."""

    # --- the agent's life

    def _make(self) -> Agent:
        with ExitStack() as patches:
            for name, made in (
                ("Prober", lambda: self),
                ("Recorder", Patient),
                ("Outbox", Calm),
                ("StoreCalls", lambda engine: self._calls),
                ("time", SimpleNamespace(monotonic=self.loop.time, time=self.clock)),
                ("watch_process", lambda registry: None),
            ):
                patches.enter_context(patch(f"monitor.agent.{name}", made))
            agent = Agent(replace(self.config, database=str(self._store.url)), objectives(), self.clock)
        recorder = agent._recorder
        assert isinstance(recorder, Patient)
        recorder.heard = self._heard
        return agent

    def _heard(self, entry: Entry) -> None:
        self.entries.append((self.now, entry))
        if entry.conversations:
            self._talking.set()

    def _refuse_when_locked(self, *_: Any) -> None:
        if within(self.now, self.locked):
            raise OperationalError("", None, sqlite3.OperationalError("database is locked"))

    async def start(self) -> None:
        self.agent = agent = self._make()
        agent.restore()
        self._talking.set()
        self._tasks = [
            asyncio.create_task(each)
            for each in (
                agent._recorder.run(),
                agent._outbox.run(),
                agent._forget(),
                self._ticks(agent),
            )
        ]
        agent._schedule.start(self.config.targets)

    async def _ticks(self, agent: Agent) -> None:
        while True:
            await self._talking.wait()
            await asyncio.sleep(self.tick_every)
            agent.cycle.tick()
            if not any(each.open for each in agent.cycle.dispatch.conversations.values()):
                self._talking.clear()

    async def stop(self, *, kill: bool = False) -> None:
        """Killed, it says nothing and stores nothing more."""
        agent, self.agent = self.agent, None
        if agent is None:
            return
        self.errors += int(agent.metrics.cycle_errors._value.get())
        if kill:
            await self._kill(agent)
        else:
            await agent._stop(self._tasks)

    async def _kill(self, agent: Agent) -> None:
        # What told nobody anything is stored by and by here, and at once by the real one.
        if not within(self.now, (*self.locked, *self.silent)):
            await agent._recorder.flush_all()
        for task in self._tasks:
            task.cancel()
        agent._schedule._scheduler.shutdown(wait=False)
        agent._schedule._cancel_timers()
        running = list(agent._schedule._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*self._tasks, *running, return_exceptions=True)
        agent._schedule._cancel_timers()
        agent._history.close()

    async def restart(self, gap: float, *, kill: bool = False) -> None:
        began = self.now
        await self.stop(kill=kill)
        await asyncio.sleep(gap)
        await self.start()
        self.away.append((began, self.now))

    # --- what happens to the machine

    def suspend(self, seconds: float) -> None:
        self.away.append((self.now, self.now + seconds))
        self.slept += seconds

    def block(self, seconds: float) -> None:
        """The event loop, or the whole process, stands still; the machine doesn't."""
        self.away.append((self.now, self.now + seconds))
        self.blocked += seconds
        self.loop.moment += seconds

    def set_clock(self, by: float) -> None:
        self.away.append((self.now, self.now))
        self.set_by += by

    # --- people, at a shell

    @contextlib.contextmanager
    def people(self) -> Iterator[Quiet]:
        """As the command line does it: through the store. The agent sees it within a second."""
        history = History(str(self._store.url))
        yield Quiet(QuietStore(history.engine), self.config)
        history.close()
        self.loop.call_later(1.0, self._read_what_people_want)

    def _read_what_people_want(self) -> None:
        if self.agent is not None:
            self.agent.quiet.refresh(self.clock())

    # --- time

    def run(self, until: float) -> None:
        interval = min(each.interval for each in self.config.targets)
        with (
            patch("apscheduler.schedulers.base.datetime", _clock_of(self.clock)),
            patch("monitor.schedule.CLOCK_EVERY", max(SELDOM, interval / 2)),
            patch("monitor.notify.posting.httpx.AsyncClient", self.receivers.client),
            patch("monitor.notify.outbox.LOOK_EVERY", IDLE),
            patch("monitor.agent.FORGET_EVERY", max(FORGET_EVERY, 2 * interval)),
            patch("monitor.metrics.AgentMetrics.judged", lambda *_: None),
            patch("monitor.history.store.sa.create_engine", lambda *_, **__: self._store),
        ):
            sa.event.listen(self._store, "before_cursor_execute", self._refuse_when_locked)
            try:
                self.loop.run_until_complete(self._run(until))
            finally:
                sa.event.remove(self._store, "before_cursor_execute", self._refuse_when_locked)
                self.loop.close()

    async def _run(self, until: float) -> None:
        await self.start()
        for at, act in sorted(self.acts, key=lambda each: each[0]):
            await self.until(at)
            done = act()
            if done is not None:
                await done
        await self.until(until)
        if self.agent is not None:
            self.standing = self.agent.cycle.alerting.alerts
            self.waiting = [each.message.notifier for each in self.agent._outbox._letters]
        await self.stop()

    async def until(self, moment: float) -> None:
        while (wait := moment - self.now) > 1e-6:  # noqa: ASYNC110 (a sleeping machine makes it shorter)
            await asyncio.sleep(wait)


def within(moment: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(start <= moment < end for start, end in spans)


def _result(answer: Answer, request: Request, took: float, stalled: float, body: bytes) -> Result:
    late = answer.takes > request.timeout
    return Result(
        Reason.TIMEOUT if late else answer.reason,
        f"no answer within {request.timeout:g} s" if late else answer.said,
        None if late else answer.status,
        phases=Phases(first_byte=took),
        duration=took,
        body=body,
        retry_after=answer.retry_after,
        content_type="text/plain",
        stalled=stalled,
    )


def _clock_of(clock: Callable[[], float]) -> type[datetime]:
    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock(), tz)

    return Now
