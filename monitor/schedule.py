"""Starts each target's cycle on time: phase slots on APScheduler that fan out, so that many cost few jobs."""

from __future__ import annotations

import asyncio
import logging
import math
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from monitor.config import Target
from monitor.metrics import AgentMetrics

log = logging.getLogger(__name__)

SLOTS = 100
"""Per interval length. More would be more even and cost more."""


class Schedule:
    """A target's slot comes from its name: it keeps its phase over restarts, and whatever else is watched."""

    def __init__(
        self,
        run: Callable[[Target], Awaitable[None]],
        metrics: AgentMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._run = run
        self._metrics = metrics
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[tuple[float, float], int] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )

    def start(self, targets: Iterable[Target]) -> None:
        began = self._clock()
        self._metrics.last_cycle_at = began
        for (interval, offset), slot in slots(targets).items():
            self._scheduler.add_job(
                self.fire,
                IntervalTrigger(
                    seconds=interval, start_date=datetime.fromtimestamp(began + offset, UTC), timezone=UTC
                ),
                args=(slot, interval, began + offset),
                next_run_time=datetime.fromtimestamp(began + offset, UTC),
            )
        self._scheduler.start()

    async def fire(self, slot: list[Target], interval: float, origin: float) -> None:
        """Starts the cycle of each target in the slot that isn't still busy with its last one.

        A coroutine function, because APScheduler runs all others in threads.
        """
        now = self._clock()
        turn = math.floor((now - origin) / interval)
        due = origin + turn * interval
        skipped = turn - self._turns.get((interval, origin), turn - 1) - 1
        self._turns[interval, origin] = turn
        for target in slot:
            busy = target.name in self._running
            if missed := max(0, skipped) + busy:
                self._metrics.missed_runs.labels(target.name).inc(missed)
            if busy:
                continue
            self._metrics.lateness.observe(max(0.0, now - due))
            task = asyncio.create_task(self._guarded(target), name=f"cycle {target.name}")
            self._running[target.name] = task
            task.add_done_callback(lambda _, name=target.name: self._running.pop(name))  # type: ignore[misc]

    async def _guarded(self, target: Target) -> None:
        """The second of two places where everything is caught: one broken cycle must not end the watch."""
        with self._metrics.cycle_duration.time():
            try:
                await self._run(target)
            except Exception:
                self._metrics.cycle_errors.inc()
                log.exception("cycle of %s failed, by a fault of the agent's own", target.name)
            else:
                self._metrics.cycle_ended(self._clock())

    async def stop(self) -> None:
        # APScheduler would cancel, and report as failed, what it has just begun: let that end first.
        self._scheduler.pause()
        await asyncio.sleep(0)
        self._scheduler.shutdown(wait=False)
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def slots(targets: Iterable[Target]) -> dict[tuple[float, float], list[Target]]:
    """Targets by (interval, offset into it), both in seconds; at most SLOTS offsets for each interval."""
    found: dict[tuple[float, float], list[Target]] = defaultdict(list)
    for target in targets:
        slot = zlib.crc32(target.name.encode()) % SLOTS
        found[target.interval, slot * target.interval / SLOTS].append(target)
    return dict(found)
