"""A target, its cycle and its schedule in simulated time: hours pass in milliseconds, and nothing sleeps."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from prometheus_client import CollectorRegistry

from exporters.http import Prober, Reason, Request, Result
from monitor.agent import retention
from monitor.alerting import Alerting
from monitor.config import Config, Target
from monitor.cycle import Condition, Cycle
from monitor.dispatch import Dispatch
from monitor.history import Entry
from monitor.metrics import AgentMetrics
from monitor.objectives import Objectives, load_objectives, shortened
from monitor.recorder import Recorder
from monitor.schedule import Schedule
from monitor.series import Memory
from tests.monitor.dispatching import People
from tests.monitor.making import target

BEGAN = 1_700_000_000.0
DOCUMENTED = load_objectives(Path("alerts/objectives.yml"))


class Answer(NamedTuple):
    """What the target does with a request that comes at some moment, and how long that takes."""

    reason: Reason | None = None
    takes: float = 0.0
    status: int | None = 200
    stalled: float = 0.0
    retry_after: float | None = None
    body: bytes = b""


WELL = Answer()
REFUSED = Answer(Reason.CONNECT, status=None)
HANGS = Answer(Reason.TIMEOUT, takes=10.0, status=None)
BROKEN = Answer(Reason.STATUS, takes=0.1, status=503)
BUSY = Answer(Reason.STATUS, status=429, retry_after=60.0)

Story = Callable[[float], Answer]
"""What the target answers, by the seconds since the start."""


def down(*spans: tuple[float, float], bad: Answer = REFUSED) -> Story:
    """Well, but from the first to the second moment of each span."""
    return lambda at: bad if any(start <= at < end for start, end in spans) else WELL


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Nothing ever waits: when all tasks do, the time of the next timer comes at once."""

    def __init__(self) -> None:
        self.moment = 0.0
        selector = selectors.DefaultSelector()
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            if timeout is None:
                raise RuntimeError("everything waits for something that will never come")
            self.moment += max(0.0, timeout)
            return select(0)

        selector.select = jump  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self.moment


class Told(NamedTuple):
    """`at` is in seconds since the start."""

    at: float
    name: str
    state: str


class World:
    """One target from BEGAN on. `turns` are the moments of its regular turns, in seconds since then."""

    def __init__(
        self,
        story: Story,
        *,
        interval: float = 30.0,
        shorten: float = 1.0,
        objectives: Objectives = DOCUMENTED,
        checks: Sequence[str] = ("health",),
    ) -> None:
        self.story = story
        self.asked: list[tuple[float, str]] = []
        self.told: list[Told] = []
        self.entries: list[Entry] = []
        self.shift = 0.0
        """By how much the wall clock was set, in seconds."""
        self.target: Target = target("api", interval=interval, checks=tuple(checks))
        objectives = shortened(objectives, shorten)
        self.metrics = AgentMetrics(CollectorRegistry())
        self.memory = Memory(retention(objectives))
        config = Config((self.target,), (), "", 0, "", None, shorten, Path())
        self.cycle = Cycle(
            config=config,
            objectives=objectives,
            prober=cast("Prober", self),
            memory=self.memory,
            alerting=Alerting(),
            dispatch=Dispatch(config, objectives, People()),
            recorder=cast("Recorder", self),
            metrics=self.metrics,
            clock=self.clock,
            steady=lambda: self.loop.moment,
            conditions={"api": Condition()},
        )
        self.loop = SimulatedLoop()
        self.schedule = Schedule(self.cycle.run, self.metrics, self.clock)

    def clock(self) -> float:
        return BEGAN + self.loop.moment + self.shift

    async def probe(self, request: Request) -> Result:
        began = self.loop.moment
        self.asked.append((began, request.url.rpartition("/")[2]))
        answer = self.story(began)
        await asyncio.sleep(answer.takes)
        return Result(
            answer.reason,
            "as told",
            answer.status,
            duration=answer.takes,
            body=answer.body,
            retry_after=answer.retry_after,
            stalled=answer.stalled,
            content_type="text/plain",
        )

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.told += [Told(self.loop.moment, each.key.name, each.state) for each in entry.changed]

    def run(self, until: float) -> World:
        self.loop.run_until_complete(self._turns(until))
        return self

    async def _turns(self, until: float) -> None:
        interval = self.target.interval
        turn = self.loop.moment
        while turn <= until:
            await self.schedule.fire([self.target], interval, turn)
            turn += interval
            await asyncio.sleep(max(0.0, min(turn, until) - self.loop.moment))
        await asyncio.sleep(30.0)

    def close(self) -> None:
        self.loop.close()

    def pages(self, name: str = "target-down") -> list[tuple[float, str]]:
        return [(round(each.at, 2), each.state) for each in self.told if each.name == name]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def changed(name: str, **changes: Any) -> Objectives:
    """As documented, but for one objective."""
    entries = tuple(replace(each, **changes) if each.name == name else each for each in DOCUMENTED)
    return replace(DOCUMENTED, entries=entries)
