"""Asks the target, and a baseline beside it, for the same requests in turns."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from monitor.gate.asking import Asker, NoAnswerError, OutOfBudgetError, UnreachableError
from monitor.gate.baseline import Beside
from monitor.gate.compare import PAIRS, interleaved
from monitor.gate.journey import StepFailedError
from monitor.gate.sample import Answer
from monitor.gate.sampling import Turns, asked, taking_turns
from monitor.gate.source import SourceError
from monitor.gate.timings import counts

if TYPE_CHECKING:
    from monitor.gate.run import Run

PATIENCE = 10.0
"""Seconds for each answer."""
SHARE = 0.5
"""Of the time and of the requests that are left: the checks after this one need some, too."""

Heard = dict[str, list[Answer]]
"""By kind of request, as in gate.yml."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """`old` is empty without a baseline beside the target. `left_out`: rounds that do not count."""

    new: Heard
    old: Heard
    left_out: int
    seconds: float


async def measured(run: Run, beside: Beside | None) -> Pairs:
    """Raises OutOfBudgetError, SourceError for a baseline that does not answer, and what a journey raises."""
    kinds, loop = len(run.config.requests), asyncio.get_running_loop()
    rounds = min(kinds * PAIRS, int(SHARE * run.asker.left) - kinds)
    if rounds <= 0:
        raise OutOfBudgetError
    turns = await taking_turns(run, run.config.requests, PATIENCE)
    began = loop.time()
    until = began + SHARE * run.left()
    asks = [partial(_asked, run, run.asker, turns, until)]
    if beside is not None:
        asks.append(partial(_asked, run, beside.asker, await _turns_of(beside, run), until))
    dice = random.Random()  # noqa: S311 (the order of requests is no secret)
    late = lambda: loop.time() >= until  # noqa: E731
    found = await interleaved(asks, dice, rounds=rounds, warm_up=kinds, late=late)
    return _sorted(run, turns, found, loop.time() - began)


async def _asked(run: Run, asker: Asker, turns: Turns, until: float) -> Answer:
    asker.requests += 1
    answer = await asked(run, turns)
    if answer.throttled is not None:
        left = until - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, min(answer.throttled, left)))
    return answer


async def _turns_of(beside: Beside, run: Run) -> Turns:
    try:
        return await taking_turns(beside, run.config.requests, PATIENCE)
    except (StepFailedError, NoAnswerError, UnreachableError, OutOfBudgetError) as error:
        why = str(error) or "too few requests are allowed"
        raise SourceError(f"the baseline {beside.target}: {why}") from None


def _sorted(run: Run, turns: Turns, rounds: Sequence[Sequence[Answer]], seconds: float) -> Pairs:
    new, old, left_out = defaultdict[str, list[Answer]](list), defaultdict[str, list[Answer]](list), 0
    for answers in rounds:
        kind = turns.kind(answers[0])
        run.timings.hear(kind, answers[0])
        if not all(map(counts, answers)):
            left_out += 1
            continue
        for side, answer in zip((new, old), answers, strict=False):
            side[kind].append(answer)
    return Pairs(new, old, left_out, seconds)
