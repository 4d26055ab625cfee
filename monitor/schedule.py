"""Starts each target's cycle on time: phase slots on APScheduler that fan out, so that many cost few jobs."""

from __future__ import annotations

import asyncio
import logging
import math
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from monitor.config import Target
from monitor.metrics import AgentMetrics

log = logging.getLogger(__name__)

SLOTS = 100
"""Per interval length. More would be more even and cost more."""
CLOCK_EVERY, CLOCK_JUMP = 1.0, 2.0
"""Seconds between two looks at the clock, and by how much it differs when it was set or the machine slept."""


class Run(Protocol):
    def __call__(self, target: Target, *, again: bool = False) -> Awaitable[float | None]:
        """Looks at the target; returns after how many seconds it wants to do so `again`, out of turn."""


class Schedule:
    """A target's slot comes from its name: it keeps its phase over restarts, and whatever else is watched.

    Between two turns a cycle may ask to look again. A turn that falls into that waits for the next such look
    and takes its place: it is neither missed nor late, and no target is looked at twice at a time.
    """

    def __init__(self, run: Run, metrics: AgentMetrics, clock: Callable[[], float]) -> None:
        self._run = run
        self._metrics = metrics
        self._clock = clock
        self._running: dict[str, asyncio.Task[float | None]] = {}
        self._again: dict[str, asyncio.TimerHandle | None] = {}
        """Of targets that are looked at out of turn: the timer of the next look, None while it runs."""
        self._owed: set[str] = set()
        self._turns: dict[tuple[float, float], int] = {}
        self._targets: dict[str, Target] | None = None
        """Those that are watched; None: whoever is fired."""
        self._jobs: dict[tuple[float, float], Job] = {}
        """By interval and offset."""
        self._origin = 0.0
        """From which on turns are counted, in seconds since the epoch."""
        self._ahead = 0.0
        """Seconds from the loop's clock, which nobody sets, to ours."""
        self._clock_watch: asyncio.TimerHandle | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )

    def start(self, targets: Iterable[Target]) -> None:
        self._targets = {target.name: target for target in targets}
        self._plan_anew()
        self._scheduler.start()
        self._ahead = self._clock() - asyncio.get_running_loop().time()
        self._watch_clock()

    def _watch_clock(self) -> None:
        """Turns are planned by the clock: set back by an hour, it would let nothing run for an hour."""
        loop = asyncio.get_running_loop()
        ahead = self._clock() - loop.time()
        if abs(jump := ahead - self._ahead) > CLOCK_JUMP:
            log.warning("the clock differs by %+.1f s from what it was: all turns are planned anew", jump)
            self._plan_anew()
        self._ahead = ahead
        self._clock_watch = loop.call_later(CLOCK_EVERY, self._watch_clock)

    def _plan_anew(self) -> None:
        self._scheduler.remove_all_jobs()
        self._jobs.clear()
        self._turns.clear()
        self._metrics.last_cycle_at = self._origin = self._clock()
        self._plan()

    def replan(self, targets: Iterable[Target], anew: Collection[str]) -> None:
        """From now on these. Who was watched before and still is keeps the turns; who is new has the first
        in the slot of its name, like everybody.

        Cycles under way of those that are gone are cancelled. Those of `anew` begin again at once, as the new
        configuration says; all others end as if nothing had happened.
        """
        now = self._targets = {target.name: target for target in targets}
        self._owed &= now.keys()
        for name in [name for name in self._again if name not in now]:
            if timer := self._again.pop(name):
                timer.cancel()
        for name, task in self._running.items():
            if name in anew and name in now:
                self._owed.add(name)
            elif name in now:
                continue
            task.cancel()
        self._plan()

    def _plan(self) -> None:
        """Slots that there are already keep their next turn, also one that is due this moment."""
        wanted = slots((self._targets or {}).values())
        for key in self._jobs.keys() - wanted.keys():
            self._jobs.pop(key).remove()
            self._turns.pop((key[0], self._origin + key[1]), None)
        for (interval, offset), slot in wanted.items():
            origin = self._origin + offset
            if job := self._jobs.get((interval, offset)):
                job.modify(args=(slot, interval, origin))
                continue
            turn = max(0, math.ceil((self._clock() - origin) / interval))
            self._jobs[interval, offset] = self._scheduler.add_job(
                self.fire,
                IntervalTrigger(
                    seconds=interval, start_date=datetime.fromtimestamp(origin, UTC), timezone=UTC
                ),
                args=(slot, interval, origin),
                next_run_time=datetime.fromtimestamp(origin + turn * interval, UTC),
            )

    def _watched(self, target: Target) -> Target | None:
        """As it is configured now; None when it is gone."""
        return target if self._targets is None else self._targets.get(target.name)

    async def fire(self, slot: list[Target], interval: float, origin: float) -> None:
        """Starts the cycle of each target in the slot that isn't still busy with its last one.

        A coroutine function, because APScheduler runs all others in threads.
        """
        watched = [found for each in slot if (found := self._watched(each)) and found.interval == interval]
        if not watched:  # The slot was given up after APScheduler had begun its turn.
            return
        now = self._clock()
        turn = math.floor((now - origin) / interval)
        due = origin + turn * interval
        skipped = turn - self._turns.get((interval, origin), turn - 1) - 1
        self._turns[interval, origin] = turn
        for target in watched:
            if target.name in self._again:
                self._owed.add(target.name)
                continue
            busy = target.name in self._running
            if missed := max(0, skipped) + busy:
                self._metrics.missed_runs.labels(target.name).inc(missed)
            if busy:
                continue
            self._metrics.lateness.observe(max(0.0, now - due))
            self._begin(target)

    def _begin(self, fired: Target, *, again: bool = False) -> None:
        if (target := self._watched(fired)) is None:
            return
        task = asyncio.create_task(self._guarded(target, again=again), name=f"cycle {target.name}")
        self._running[target.name] = task
        task.add_done_callback(partial(self._ended, target))

    def _ended(self, target: Target, task: asyncio.Task[float | None]) -> None:
        del self._running[target.name]
        self._again.pop(target.name, None)
        wait = None if task.cancelled() else task.result()
        if self._watched(target) is None:
            return
        if wait is not None:
            loop = asyncio.get_running_loop()
            self._again[target.name] = loop.call_later(wait, self._look_again, target)
        elif target.name in self._owed:
            self._owed.discard(target.name)
            self._begin(target)

    def _look_again(self, target: Target) -> None:
        if target.name in self._owed:
            self._owed.discard(target.name)
            del self._again[target.name]
            self._begin(target)
        else:
            self._again[target.name] = None
            self._begin(target, again=True)

    async def _guarded(self, target: Target, *, again: bool) -> float | None:
        """The second of two places where everything is caught: one broken cycle must not end the watch."""
        with self._metrics.cycle_duration.time():
            try:
                wait = await self._run(target, again=again)
            except Exception:
                self._metrics.cycle_errors.inc()
                log.exception("cycle of %s failed, by a fault of the agent's own", target.name)
                return None
        self._metrics.cycle_ended(self._clock())
        return wait

    async def stop(self) -> None:
        # APScheduler would cancel, and report as failed, what it has just begun: let that end first.
        self._scheduler.pause()
        await asyncio.sleep(0)
        self._scheduler.shutdown(wait=False)
        self._owed.clear()
        self._cancel_timers()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._cancel_timers()

    def _cancel_timers(self) -> None:
        for timer in filter(None, (self._clock_watch, *self._again.values())):
            timer.cancel()


def slots(targets: Iterable[Target]) -> dict[tuple[float, float], list[Target]]:
    """Targets by (interval, offset into it), both in seconds; at most SLOTS offsets for each interval."""
    found: dict[tuple[float, float], list[Target]] = defaultdict(list)
    for target in targets:
        slot = zlib.crc32(target.name.encode()) % SLOTS
        found[target.interval, slot * target.interval / SLOTS].append(target)
    return dict(found)
