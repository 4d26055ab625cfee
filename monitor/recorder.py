"""Hands cycles to the store without ever making the measuring wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from monitor.history import Entry, History
from monitor.metrics import AgentMetrics
from monitor.quantity import format_duration

log = logging.getLogger(__name__)

BACKLOG = 10_000
BATCH = 500
RETRY_AFTER = 1.0
PRUNE_EVERY = 3600.0
STALLED_AFTER = 60.0
"""Seconds. What is not stored is not sent, either."""


class Trouble(NamedTuple):
    """The store refuses since then (seconds since the epoch)."""

    since: float
    why: str


class Recorder:
    """Keeps what the store can't take right now, up to BACKLOG cycles.

    Past that, cycles go that told nobody anything, the oldest first.
    """

    def __init__(
        self,
        history: History,
        metrics: AgentMetrics,
        clock: Callable[[], float],
        stored: Callable[[], None],
    ) -> None:
        self._history = history
        self._metrics = metrics
        self._clock = clock
        self._stored = stored
        self._waiting: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._pruned_at = 0.0
        self.trouble: Trouble | None = None

    def stall(self, now: float) -> str | None:
        """What is wrong when cycles, and messages with them, have waited too long for the store."""
        if self.trouble is not None and now - self.trouble.since > STALLED_AFTER:
            since = format_duration(float(round(now - self.trouble.since)))
            return f"the store has refused for {since}, and messages wait for it: {self.trouble.why}"
        oldest = self._waiting[0].at if self._waiting else now
        if now - oldest > 2 * STALLED_AFTER:
            return f"the store has not taken anything for {format_duration(float(round(now - oldest)))}"
        return None

    def add(self, entry: Entry) -> None:
        if len(self._waiting) >= BACKLOG:
            self._drop_one()
        self._waiting.append(entry)
        self._arrived.set()

    def _drop_one(self) -> None:
        quiet = next((index for index, each in enumerate(self._waiting) if not each.messages), 0)
        del self._waiting[quiet]
        self._metrics.store_dropped.inc()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if not await self.flush():
                    await asyncio.sleep(RETRY_AFTER)
            await self._prune()

    async def flush(self) -> bool:
        """Stores the oldest cycles in one transaction; False, with nothing lost, when the store refuses."""
        async with self._one_at_a_time:
            return await self._store_oldest()

    async def _store_oldest(self) -> bool:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        if not batch:
            return True
        try:
            await asyncio.to_thread(self._history.record, batch)
        except SQLAlchemyError as error:
            self._waiting.extendleft(reversed(batch))
            self._metrics.store_errors.inc()
            self.trouble = Trouble(self.trouble.since if self.trouble else self._clock(), cause(error))
            log.error("store: %d cycles wait: %s", len(self._waiting), cause(error))  # noqa: TRY400 (it says it all)
            return False
        finally:
            self._metrics.store_backlog.set(len(self._waiting))
        self.trouble = None
        self._stored()
        return True

    async def _prune(self) -> None:
        now = self._clock()
        if now - self._pruned_at < PRUNE_EVERY:
            return
        self._pruned_at = now
        try:
            await asyncio.to_thread(self._history.prune, now)
        except SQLAlchemyError as error:
            log.error("store: pruning failed: %s", cause(error))  # noqa: TRY400 (it says it all)


def cause(error: SQLAlchemyError) -> str:
    """In one line, without SQLAlchemy's statement and link."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
