"""Evidence from the agent's store: what it judged last, and 30 days of its probes; as of now, or of then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar

from monitor.gate.source import HISTORY, Seen, SourceError
from monitor.gate.store import asked
from monitor.history import Incident
from monitor.history.reading import Reader
from monitor.history.rollup import MINUTE
from monitor.objectives import Objective
from monitor.quantity import format_duration
from monitor.slis import Availability

T = TypeVar("T")

HEALTH = "health"
FRESH = 300.0
"""Seconds. What an agent saw before that says nothing about then: it may be suspended, or dead."""


class Probes(NamedTuple):
    total: int
    failures: int


class Known(Protocol):
    """What a history knows of a target. Times in seconds since the epoch."""

    def probed(self, target: str, since: float, until: float) -> bool: ...

    def probes(self, target: str, since: float, until: float) -> Probes: ...

    def last(self, target: str, objective: str, since: float, until: float) -> float | None:
        """The newest reading of that time; None also where it had no value."""

    def going_on(self, target: str, at: float) -> Iterable[Incident]: ...


def seen(known: Known, target: str, objective: Objective, at: float) -> Seen | None:
    """None where nothing was known at that time, or too little."""
    if not known.probed(target, at - FRESH, at):
        return None
    if isinstance(objective.sli, Availability):
        return _uptime(known, target, objective, at)
    value = known.last(target, objective.name, at - FRESH, at)
    if value is None:
        return None
    basis = f"the agent's last reading, of {format_duration(objective.window)}"
    return Seen(value, basis, objective.window)


def firing(known: Known, target: str, at: float) -> list[str] | None:
    if not known.probed(target, at - FRESH, at):
        return None
    return [
        f"{each.key.name}: {each.value}" for each in known.going_on(target, at) if each.severity != "info"
    ]


def _uptime(known: Known, target: str, objective: Objective, at: float) -> Seen | None:
    found = known.probes(target, at - objective.window, at)
    if not found.total or found.total < objective.minimum_samples:
        return None
    basis = f"{found.failures:,} of {found.total:,} probes failed"
    return Seen(1 - found.failures / found.total, basis, objective.window)


class Now:
    """A store that is asked up to now. Each answer raises SQLAlchemyError when it can't be read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def probed(self, target: str, since: float, until: float) -> bool:
        return self._reader.total(target, HEALTH, since, until + MINUTE).rollup.total > 0

    def probes(self, target: str, since: float, until: float) -> Probes:
        found = self._reader.uptime(target, since, until)
        return Probes(found.total, found.failures)

    def last(self, target: str, objective: str, since: float, until: float) -> float | None:
        points = self._reader.objective_series(target, objective, since, until + MINUTE, MINUTE)
        return points[-1].last if points else None

    def going_on(self, target: str, at: float) -> Iterable[Incident]:
        return (each for each in self._reader.incidents(at, at + MINUTE, target) if each.resolved_at is None)


class FromHistory:
    """`clock` gives seconds since the epoch; `target` is the agent's name for it, "" for the only one."""

    name = HISTORY

    def __init__(self, database: str, target: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._target = target
        self._clock = clock

    async def seen(self, objective: Objective) -> Seen | None:
        return await self._read(lambda known, target, now: seen(known, target, objective, now))

    async def firing(self) -> list[str] | None:
        return await self._read(firing)

    async def _read(self, question: Callable[[Known, str, float], T | None]) -> T | None:
        def answer(reader: Reader) -> T | None:
            target = self._named(reader)
            return None if target is None else question(Now(reader), target, self._clock())

        return await asyncio.to_thread(asked, self._database, lambda store: answer(store.read))

    def _named(self, reader: Reader) -> str | None:
        """None for a history in which nothing was ever probed."""
        known = targets(reader)
        if self._target:
            if known and self._target not in known:
                raise SourceError(f"history: there is no target {self._target!r}, only {', '.join(known)}")
            return self._target if known else None
        if len(known) > 1:
            raise SourceError(f"history: which of {', '.join(known)}? Say `history.target` in gate.yml")
        return known[0] if known else None


def targets(reader: Reader) -> list[str]:
    return sorted({target for target, check in reader.checks() if check == HEALTH})
