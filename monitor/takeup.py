"""What the store knows comes into the agent's memory: at the start, or as soon as the store can be opened.

An agent that begins without its store pages from memory. What it then reads joins what it has seen meanwhile:
nothing that it knows better is undone, and who was told under two keys hears the end under both.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from monitor import deploys
from monitor.alerting import NO_DATA, Alert, Key
from monitor.conversations import Conversation
from monitor.cycle import Cycle
from monitor.history import Deploy, Entry, History, NewerStoreError
from monitor.history.writing import Outcomes
from monitor.notify.journal import missed, reached, unsent
from monitor.notify.letters import Letter
from monitor.notify.outbox import Outbox
from monitor.quiet import Quiet
from monitor.recall import recall
from monitor.recorder import Recorder
from monitor.selfwatch import SelfWatch
from monitor.storecalls import Calls, StoreCalls, cause

log = logging.getLogger(__name__)

START_PATIENCE, TRY_EVERY = 10.0, 1.0
"""Seconds for which the agent waits for its store before it begins without it."""
READ_WITHIN = 300.0
"""Seconds for a store that answers: it may have to be brought to this version first."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says. `heard`: receiver, dedup key and time of what was delivered; `missed`: who has
    heard of nothing under that key."""

    letters: Sequence[Letter]
    heard: Sequence[tuple[str, str, float]]
    missed: Sequence[tuple[str, str]]
    alerts: Sequence[Alert]
    conversations: Sequence[Conversation]
    deploys: Sequence[Deploy]
    outcomes: Sequence[Outcomes]


@dataclass(frozen=True, slots=True)
class TakeUp:
    history: History
    cycle: Cycle
    recorder: Recorder
    outbox: Outbox
    own: SelfWatch
    quiet: Quiet

    def begin(self, calls: StoreCalls) -> None:
        """Blocks, for START_PATIENCE at most while the store is away. Raises SQLAlchemyError for a file that
        is no store, or none for this version: that does not pass."""
        try:
            known = self._patiently(calls)
        except SQLAlchemyError as error:
            if _mistaken(error):
                raise
            log.error("store: can't be opened, so the agent begins without it: %s", cause(error))  # noqa: TRY400
            self.recorder.begin_without(cause(error), lambda: self._late(calls))
        else:
            self._join(known)

    def _patiently(self, calls: StoreCalls) -> Known:
        deadline = time.monotonic() + START_PATIENCE
        while True:
            try:
                calls.blocking(START_PATIENCE, self._answers)
                return calls.blocking(READ_WITHIN, self._read)
            except SQLAlchemyError as error:
                if _mistaken(error) or time.monotonic() >= deadline:
                    raise
                log.warning("store: can't be opened yet: %s", cause(error))
            time.sleep(TRY_EVERY)

    def _answers(self) -> None:
        with self.history.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    async def _late(self, calls: Calls) -> None:
        """Raises SQLAlchemyError while the store is away."""
        known = await calls(self._read)
        joined, now = self._join(known), self.cycle.clock()
        stood = (each.key for each in known.alerts if each.resolved_at is None)
        changed = {key.target for key in stood if self._watched(key)} | {each.key.target for each in joined}
        for target in sorted(changed):
            standing = tuple(self.cycle.alerting.of(target))
            told = tuple(each for each in joined if each.key.target == target)
            self.recorder.add(Entry(now, (), (), standing, target, messages=(), conversations=told))
        log.warning("store: opened, what it knew has been taken up")

    def _read(self) -> Known:
        """Blocks. Raises SQLAlchemyError."""
        history, now = self.history, self.cycle.clock()
        history.create()
        self.quiet.refresh(now)
        since = now - self.cycle.memory.longest
        return Known(
            letters=unsent(history.engine),
            heard=reached(history.engine),
            missed=missed(history.engine),
            alerts=[*history.resolved_alerts(since), *history.standing_alerts()],
            conversations=history.conversations(),
            deploys=deploys.stored(history.engine),
            outcomes=history.outcomes(since, now),
        )

    def _join(self, known: Known) -> list[Conversation]:
        """What fired still fires, failures in a row are still counted, a month's availability is known.

        The conversations that are neither as they were stored nor as they were here.
        """
        cycle, now = self.cycle, self.cycle.clock()
        self.outbox.post(known.letters)
        self.outbox.heard(known.heard)
        self.outbox.missed.restore(known.missed)
        cycle.alerting.restore(alert for alert in known.alerts if self._watched(alert.key))
        joined = cycle.dispatch.restore(known.conversations, cycle.alerting.alerts.values(), now)
        cycle.facts.deploys.restore(known.deploys, now)
        recall(cycle, known.outcomes)
        return joined

    def _watched(self, key: Key) -> bool:
        checks = {(each.name, check.name) for each in self.cycle.config.targets for check in each.checks}
        names = {NO_DATA, *(objective.name for objective in self.cycle.objectives)}
        return (key.name in names and (key.target, key.check) in checks) or self.own.knows(key)


def _mistaken(error: SQLAlchemyError) -> bool:
    no_store = (
        isinstance(error, DBAPIError) and getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB
    )
    return no_store or isinstance(error, NewerStoreError)
