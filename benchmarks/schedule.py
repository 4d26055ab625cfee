"""What it costs to start ten thousand cycles on time: phase slots, and one APScheduler job for each target.

    python -m benchmarks.schedule

The cycles themselves do nothing, so all that is counted is the scheduling. Takes about 30 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client import CollectorRegistry

from monitor.config import Target
from monitor.metrics import AgentMetrics
from monitor.schedule import Schedule

TARGETS = 10_000
INTERVAL = 10.0
SETTLE = 1.0

Cycle = Callable[..., Awaitable[None]]


class Cost(NamedTuple):
    """`cpu` is a share of one core; `started` counts cycles, of which there should be TARGETS."""

    cpu: float
    started: int


class Phases:
    """Ours."""

    def __init__(self, cycle: Cycle) -> None:
        self._schedule = Schedule(cycle, AgentMetrics(CollectorRegistry()), time.time)

    def start(self, targets: list[Target]) -> None:
        self._schedule.start(targets)

    async def stop(self) -> None:
        await self._schedule.stop()


class JobEach:
    """APScheduler alone, its jobs spread evenly over the interval."""

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})

    def start(self, targets: list[Target]) -> None:
        began = datetime.now(UTC) + timedelta(seconds=SETTLE)
        for number, target in enumerate(targets):
            first = began + timedelta(seconds=number * INTERVAL / len(targets))
            trigger = IntervalTrigger(seconds=int(INTERVAL), start_date=first, timezone=UTC)
            self._scheduler.add_job(self._cycle, trigger, args=(target,), next_run_time=first)
        self._scheduler.start()

    async def stop(self) -> None:
        self._scheduler.pause()
        await asyncio.sleep(0)
        self._scheduler.shutdown(wait=False)


async def measure(kind: type[Phases | JobEach]) -> Cost:
    """CPU of one interval, after the start-up is through."""
    started = 0

    async def cycle(_: Target, **_again: bool) -> None:
        nonlocal started
        started += 1

    schedule = kind(cycle)
    schedule.start([Target(f"target {number}", "", INTERVAL, ()) for number in range(TARGETS)])
    await asyncio.sleep(SETTLE)
    before, cpu = started, time.process_time()
    await asyncio.sleep(INTERVAL)
    cost = Cost((time.process_time() - cpu) / INTERVAL, started - before)
    await schedule.stop()
    return cost


def main() -> None:
    ours, theirs = asyncio.run(measure(Phases)), asyncio.run(measure(JobEach))
    print(f"{TARGETS:,} targets, one cycle in {INTERVAL:g} s each")
    for name, cost in (("phase slots", ours), ("one APScheduler job each", theirs)):
        print(f"  {name:25} {cost.cpu:7.2%} of a core   {cost.started:,} cycles")
    print(f"  ratio {ours.cpu / theirs.cpu:.2f}")


if __name__ == "__main__":
    main()
