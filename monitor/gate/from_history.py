"""Evidence from the agent's store: what it judged last, and 30 days of its probes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from monitor.gate.source import HISTORY, Seen, SourceError
from monitor.gate.store import asked
from monitor.history.reading import Reader
from monitor.history.rollup import MINUTE
from monitor.objectives import Objective
from monitor.quantity import format_duration
from monitor.slis import Availability

T = TypeVar("T")

HEALTH = "health"
FRESH = 300.0
"""Seconds. What an agent saw before that says nothing about now: it may be suspended, or dead."""


class FromHistory:
    """`clock` gives seconds since the epoch; `target` is the agent's name for it, "" for the only one."""

    name = HISTORY

    def __init__(self, database: str, target: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._target = target
        self._clock = clock

    async def seen(self, objective: Objective) -> Seen | None:
        return await self._read(lambda reader: self._seen(reader, objective))

    async def firing(self) -> list[str] | None:
        return await self._read(self._firing)

    async def _read(self, question: Callable[[Reader], T]) -> T:
        return await asyncio.to_thread(asked, self._database, lambda store: question(store.read))

    def _seen(self, reader: Reader, objective: Objective) -> Seen | None:
        now, target = self._clock(), self._named(reader)
        if target is None or not self._is_fresh(reader, target, now):
            return None
        if isinstance(objective.sli, Availability):
            return _uptime(reader, target, objective, now)
        points = reader.objective_series(target, objective.name, now - FRESH, now + MINUTE, MINUTE)
        value = points[-1].last if points else None
        if value is None:
            return None
        return Seen(
            value, f"the agent's last reading, of {format_duration(objective.window)}", objective.window
        )

    def _firing(self, reader: Reader) -> list[str] | None:
        now, target = self._clock(), self._named(reader)
        if target is None or not self._is_fresh(reader, target, now):
            return None
        going_on = (each for each in reader.incidents(now, now + MINUTE, target) if each.resolved_at is None)
        return [f"{each.key.name}: {each.value}" for each in going_on if each.severity != "info"]

    def _is_fresh(self, reader: Reader, target: str, now: float) -> bool:
        return reader.total(target, HEALTH, now - FRESH, now + MINUTE).rollup.total > 0

    def _named(self, reader: Reader) -> str | None:
        """None for a history in which nothing was ever probed."""
        known = sorted({target for target, check in reader.checks() if check == HEALTH})
        if self._target:
            if known and self._target not in known:
                raise SourceError(f"history: there is no target {self._target!r}, only {', '.join(known)}")
            return self._target if known else None
        if len(known) > 1:
            raise SourceError(f"history: which of {', '.join(known)}? Say `history.target` in gate.yml")
        return known[0] if known else None


def _uptime(reader: Reader, target: str, objective: Objective, now: float) -> Seen | None:
    found = reader.uptime(target, now - objective.window, now)
    if found.ratio is None or found.total < objective.minimum_samples:
        return None
    basis = f"{found.failures:,} of {found.total:,} probes failed"
    return Seen(found.ratio, basis, objective.window)
