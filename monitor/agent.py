"""Puts the agent together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from exporters.http import Prober
from exporters.process import watch_process
from monitor.alerting import Alert, Alerting
from monitor.config import Config
from monitor.cycle import Condition, Cycle
from monitor.dispatch import Dispatch
from monitor.filewatch import digests
from monitor.gate.hook import Hook
from monitor.heartbeat import Heartbeat
from monitor.history import History
from monitor.loading import files_of
from monitor.metrics import AgentMetrics
from monitor.notify.facts import FactBook, Facts
from monitor.notify.journal import settle
from monitor.notify.outbox import Outbox
from monitor.notify.receivers import Receivers
from monitor.notify.resend import Resend, Resends
from monitor.objectives import Objectives
from monitor.quiet import Quiet
from monitor.quietstore import QuietStore
from monitor.recall import retention as retention
from monitor.recorder import Recorder
from monitor.reload import Parts, Reload
from monitor.schedule import Schedule
from monitor.selfwatch import SelfWatch
from monitor.series import Memory
from monitor.storecalls import StoreCalls
from monitor.takeup import TakeUp
from monitor.web import Page, serve
from monitor.web.past import Past
from monitor.working import Working

log = logging.getLogger(__name__)

FORGET_EVERY = 60.0
TICK_EVERY = 1.0
LAST_WORDS = 5.0
SETTLED_AFTER = 60.0
"""Seconds. Most of what is there by then stays. A full collection that looks at all of it takes the loop
0.2 s and more with 500 targets, again and again."""


class Agent:
    def __init__(
        self, config: Config, objectives: Objectives, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._clock = clock
        self.metrics = AgentMetrics(CollectorRegistry())
        watch_process(self.metrics.registry)
        self._history = History(config.database)
        self.quiet = Quiet(QuietStore(self._history.engine), config)
        self._memory = Memory(retention(objectives))
        self._receivers = Receivers(config.notify, digests(files_of(config)))
        self._calls = StoreCalls(self._history.engine)
        settled = partial(self._calls, partial(settle, self._history.engine))
        self._outbox = Outbox(settled, self._receivers, self.metrics, clock)
        self._recorder = Recorder(self._history, self._calls, self.metrics, clock, self._outbox)
        self._own = SelfWatch(
            self._recorder, self._outbox, self._receivers.configured, lambda: self.reload.refused
        )
        self._prober = Prober()
        self.cycle = Cycle(
            config=config,
            objectives=objectives,
            prober=self._prober,
            memory=self._memory,
            alerting=Alerting(),
            dispatch=Dispatch(config, objectives, self.quiet),
            recorder=self._recorder,
            metrics=self.metrics,
            clock=clock,
            conditions={target.name: Condition() for target in config.targets},
            facts=FactBook(replace(config.links, page=config.web.url or "")),
            steady=time.monotonic,
            own=self._own.conditions,
        )
        self._resends = Resends(self._made_resends)
        self._schedule = Schedule(self.cycle.run, self.metrics, clock)
        self.working = Working(
            self.cycle, self.metrics, clock, self.quiet, (self._outbox.stall,), self._notes
        )
        self._gate = Hook(
            self._history.engine, self._calls, self.metrics, lambda: self.cycle.config.targets, clock
        )
        self._heartbeat = Heartbeat(config.heartbeat, self.working, self.metrics, clock)
        self.reload = Reload(self._parts(), clock)
        self.metrics.series.set_function(self._memory.__len__)
        for target in config.targets:
            self.metrics.born(target.name, (check.name for check in target.checks), self._receivers)

    def _parts(self) -> Parts:
        return Parts(
            cycle=self.cycle,
            history=self._history,
            calls=self._calls,
            quiet=self.quiet,
            receivers=self._receivers,
            resends=self._resends,
            outbox=self._outbox,
            heartbeat=self._heartbeat,
            schedule=self._schedule,
        )

    async def run(self, listening: socket.socket) -> None:
        """Watches until SIGINT or SIGTERM; `listening` is the bound socket of /metrics and /-/healthy."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload.ask)
        past = Past(self._history, time.monotonic)
        page = Page(self.cycle, self.metrics, self._clock, self.quiet, past, self.working, self._gate)
        tasks = [
            asyncio.create_task(self._recorder.run(), name="recorder"),
            asyncio.create_task(self._outbox.run(), name="outbox"),
            asyncio.create_task(self._forget(), name="forget"),
            asyncio.create_task(self._tick(), name="tick"),
            asyncio.create_task(self._heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self.quiet.run(self._clock), name="quiet"),
            asyncio.create_task(serve(page, listening), name="web"),
            asyncio.create_task(self._gate.watch(), name="gates"),
            asyncio.create_task(self._resends.run(), name="resends"),
            asyncio.create_task(self.reload.run(), name="reload"),
        ]
        self._schedule.start(self._config.targets)
        settled = asyncio.get_running_loop().call_later(SETTLED_AFTER, gc.freeze)
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            settled.cancel()
            await self._stop([stopped, *tasks])

    def restore(self) -> None:
        """Takes up what an earlier process left, later if the store is away now.

        Blocks. Raises SQLAlchemyError for a store that it will never read.
        """
        parts = (self._history, self.cycle, self._recorder, self._outbox, self._own, self.quiet)
        TakeUp(*parts).begin(self._calls)

    def _made_resends(self) -> list[Resend]:
        heard, objectives = self.cycle.dispatch.fires_at, self.cycle.objectives
        return [
            Resend(each, partial(heard, each.name), objectives, self.metrics, self._facts)
            for each in self._receivers.alertmanagers
        ]

    def _facts(self, alert: Alert) -> Facts:
        return self.cycle.facts.about(alert, self._clock())

    def _notes(self) -> Iterable[str]:
        return filter(None, [*self.reload.notes(), self._recorder.note(self._clock())])

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(FORGET_EVERY)
            self._memory.forget_dead(self._clock())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_EVERY)
            try:
                self.cycle.tick()
            except Exception:
                self.metrics.cycle_errors.inc()
                log.exception("what time alone changes can't be decided, by a fault of the agent's own")

    async def _stop(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """What was seen is stored; what is not yet sent stays in the outbox for the next start."""
        await self._schedule.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._recorder.flush_all()
                await self._outbox.finish()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=LAST_WORDS)
        await self._prober.close()
        await self._heartbeat.close()
        await self._gate.close()
        await self._receivers.close()
        self._calls.close()
        self._history.close()
