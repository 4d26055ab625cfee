"""A target in simulated time, for `sample`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from monitor.gate.model import Asked
from monitor.gate.sample import Answer, Claim, Sampled, sample
from monitor.gate.sequential import Sequential, planned

SLOW = 0.2


def answer(seconds: float = 0.01, failed: bool = False, **more: Any) -> Answer:
    return Answer(Asked("GET /health", 500 if failed else 200, seconds), failed, **more)


GOOD = answer()
ERROR = answer(failed=True)
REFUSED = Answer(Asked("GET /health", None, 0.001), failed=True, reached=False, refused=True)


class World:
    """Each answer takes its time on the clock. `slept` are the pauses."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._answers: Iterator[Answer] = iter(answers)

    async def ask(self) -> Answer:
        await asyncio.sleep(0)
        found = next(self._answers)
        self.now += found.asked.seconds
        return found

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def judged(self, *claims: Claim, **wishes: Any) -> list[Sampled]:
        wishes = {"deadline": self.now + 60, "requests": 400, "warm_up": 0} | wishes
        return await sample(self.ask, claims, clock=lambda: self.now, sleep=self.sleep, **wishes)

    async def sampled(self, test: Sequential | None = None, slow: float = SLOW, **wishes: Any) -> Sampled:
        return (await self.judged(Claim(test or planned(0.05), slow), **wishes))[0]


def then(*answers: Answer, forever: Answer = GOOD) -> Iterator[Answer]:
    yield from answers
    yield from repeat(forever)
