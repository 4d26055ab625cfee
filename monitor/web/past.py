"""What the store says of the past, asked off the event loop, kept for a little while, and done without.

A store that is slow or away costs the page a sentence, never its answer, and the measuring nothing at all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from monitor import deploys
from monitor.config import Target
from monitor.gate import runs
from monitor.gate.runs import GateRun
from monitor.history import Bar, Deploy, Failure, History, Incident, Point
from monitor.storecalls import cause
from monitor.web.threads import CrowdedError, Threads

WITHIN = 1.5
"""Seconds for all that one page asks."""
CALL_WITHIN = 10.0
LEFT_ALONE = 5.0
"""Seconds after an error before the store is asked again."""
MOST_KEPT = 2_000
DAY = 86_400.0
HEALTH = "health"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Away:
    """In place of an answer."""

    why: str


@dataclass(frozen=True, slots=True)
class Range:
    """How far back a page looks, in steps; both in seconds. `fresh`: for how long an answer will do."""

    key: str
    words: str
    length: float
    step: float
    fresh: float

    def span(self, now: float) -> tuple[float, float]:
        """Whole steps, the one under way included: then the largest roll-ups fit."""
        until = -(-now // self.step) * self.step
        return until - self.length, until


RANGES = {
    each.key: each
    for each in (
        Range("90d", "90 days", 90 * DAY, DAY, 300.0),
        Range("24h", "24 hours", DAY, 1800.0, 60.0),
        Range("1h", "1 hour", 3600.0, 60.0, 10.0),
    )
}
DEFAULT = RANGES["24h"]


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """`key` names it among all that were asked; its answer will do for `fresh` seconds."""

    key: tuple[object, ...]
    fresh: float
    ask: Callable[[], T_co]


class Past:
    """`clock` gives seconds that only rise."""

    def __init__(self, history: History, clock: Callable[[], float]) -> None:
        self._read = history.read
        self._engine = history.engine
        self._clock = clock
        self._threads = Threads("page-reads", 2, most_waiting=500)
        self._kept: OrderedDict[tuple[object, ...], tuple[float, object]] = OrderedDict()
        self._asking: dict[tuple[object, ...], asyncio.Task[Any]] = {}
        self._left_alone_until = 0.0
        self._trouble = ""

    def bars(self, target: str, check: str, wanted: Range, now: float) -> Question[list[Bar]]:
        since, until = wanted.span(now)
        ask = partial(self._read.bars, target, check, since, until, wanted.step)
        return Question(("bars", target, check, wanted.key, until), wanted.fresh, ask)

    def points(self, target: str, objective: str, wanted: Range, now: float) -> Question[list[Point]]:
        since, until = wanted.span(now)
        step = max(wanted.step, 60.0)
        ask = partial(self._read.objective_series, target, objective, since, until, step)
        return Question(("points", target, objective, wanted.key, until), wanted.fresh, ask)

    def incidents(self, since: float, now: float, target: str | None = None) -> Question[list[Incident]]:
        ask = partial(self._read.incidents, since, now + 1, target)
        return Question(("incidents", target, now - since), 2.0, ask)

    def incident(self, number: int) -> Question[Incident | None]:
        return Question(("incident", number), 2.0, partial(self._read.incident, number))

    def failures(self, target: str, most: int) -> Question[list[Failure]]:
        return Question(("failures", target, most), 10.0, partial(self._read.failures, target, most))

    def deploys(self, since: float, now: float, target: str | None = None) -> Question[list[Deploy]]:
        ask = partial(deploys.stored, self._engine, since, target)
        return Question(("deploys", target, now - since), 10.0, ask)

    def gates(self, since: float, now: float, urls: tuple[str, ...] | None = None) -> Question[list[GateRun]]:
        ask = partial(runs.since, self._engine, since, urls)
        return Question(("gates", urls, now - since), 2.0, ask)

    def gate_report(self, number: int) -> Question[str | None]:
        return Question(("gate", number), 60.0, partial(runs.report_of, self._engine, number))

    async def answers(self, asked: Mapping[Any, Question[T]]) -> dict[Any, T | Away]:
        """Whatever is there in time; the rest goes on being looked up, for whoever asks next."""
        tasks: dict[Any, Any] = {name: self._task(question) for name, question in asked.items()}
        waiting = {task for task in tasks.values() if isinstance(task, asyncio.Task)}
        if waiting:
            await asyncio.wait(waiting, timeout=WITHIN)
        return {name: self._answer(asked[name], task) for name, task in tasks.items()}

    async def answer(self, question: Question[T]) -> T | Away:
        return (await self.answers({0: question}))[0]

    def _task(self, question: Question[Any]) -> asyncio.Task[Any] | Away | None:
        """None when the answer is kept."""
        now = self._clock()
        kept = self._kept.get(question.key)
        if kept and now - kept[0] <= question.fresh:
            return None
        if now < self._left_alone_until:
            return Away(self._trouble)
        if (task := self._asking.get(question.key)) is None:
            task = asyncio.create_task(self._asked(question), name="past")
            self._asking[question.key] = task
            task.add_done_callback(lambda _: self._asking.pop(question.key, None))
        return task

    async def _asked(self, question: Question[T]) -> T | Away:
        try:
            found = await self._threads.run(question.ask, CALL_WITHIN)
        except SQLAlchemyError as error:
            return self._gone(f"the store refuses: {cause(error)}")
        except TimeoutError:
            return self._gone(f"the store does not answer within {CALL_WITHIN:g} s")
        except CrowdedError:
            return Away("too much is asked of the store at once")
        self._kept[question.key] = self._clock(), found
        self._kept.move_to_end(question.key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def _gone(self, why: str) -> Away:
        self._trouble = why
        self._left_alone_until = self._clock() + LEFT_ALONE
        return Away(why)

    def _answer(self, question: Question[Any], task: asyncio.Task[Any] | Away | None) -> Any:
        if isinstance(task, Away):
            return task
        if task is None:
            return self._kept[question.key][1]
        return task.result() if task.done() else Away("the store is slow, try again in a moment")


def main_check(target: Target) -> str:
    """Whose answers say whether the target is up."""
    names = [check.name for check in target.checks]
    return HEALTH if HEALTH in names else names[0]
