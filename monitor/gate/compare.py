"""Is the new one slower, or worse, than the old one? Two questions: one test misses what the other finds.

    tail  more answers failed or are among the slowest: Fisher's exact test. A tenth of all requests that
          became slow leaves most ranks as they were, so a test of ranks does not see it. New ones are given
          LEAST_EFFECT for nothing here
    bulk  all are slower: Mann and Whitney's test, and the typical ratio of new to old is at least
          LEAST_EFFECT, for with enough requests any difference is significant

Both are asked of each kind of request, and of all kinds together: one route that became slower shows in its
own, a little of everything only in all. Old and new are asked in turns, so that what happens to both (a busy
machine, a slow network) makes them no different. All alarms of a gate are corrected together (Holm, A simple
sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979): with ten comparisons at one in
twenty each, two gates in five would cry wolf.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.gate.model import Cause

T = TypeVar("T")

RISK = 0.05
TAIL = 0.95
"""What takes longer than this quantile of all answers, old and new, is among the slowest."""
LEAST_EFFECT = 1.2
PAIRS = 60
"""Of each kind of request."""
LEAST = 60
"""Requests on either side, below which a difference worth an alarm would too often go unseen."""
TOGETHER = "all requests"


@dataclass(frozen=True, slots=True)
class Side:
    """`seconds` of what was answered well, and how many requests failed."""

    seconds: tuple[float, ...]
    failed: int = 0

    @property
    def of(self) -> int:
        return len(self.seconds) + self.failed


@dataclass(frozen=True, slots=True)
class Compared:
    """`tail` and `bulk` are the chances of such a difference if there were none; `slow` in seconds.

    `ratio` of new to old durations is the median over all pairs. `bad`: failed or slower than `slow`, old
    and new; for new ones it is LEAST_EFFECT times as much. `cause`: why nobody can tell.
    """

    old: Side
    new: Side
    slow: float
    bad: tuple[int, int]
    tail: float
    bulk: float
    ratio: float
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """`chance` of a false one among all comparisons of the gate."""

    kind: str
    part: Literal["tail", "bulk"]
    chance: float
    said: str


def compare(old: Side, new: Side) -> Compared:
    durations = np.array(old.seconds), np.array(new.seconds)
    failed = np.full(old.failed + new.failed, math.inf)
    every = np.concatenate([durations[0], durations[1] / LEAST_EFFECT, failed])
    slow = float(slowest(every)) if every.size else math.inf
    bad = _bad(old, slow), _bad(new, LEAST_EFFECT * slow)
    both = all(each.size for each in durations)
    return Compared(
        old,
        new,
        slow,
        bad,
        tail=tail_chance(bad[1], new.of, sum(bad), old.of + new.of),
        bulk=float(bulk_chance(*durations)) if both else 1.0,
        ratio=float(np.median(np.divide.outer(durations[1], durations[0]))) if both else 1.0,
        cause=_cause(min(old.of, new.of)),
    )


def slowest(durations: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is longer is of the tail. Along the last axis; without an end where failures are all of it."""
    return np.asarray(np.quantile(durations, TAIL, axis=-1, method="lower"))


def _cause(least: int) -> Cause | None:
    if least >= LEAST:
        return None
    return Cause.TOO_FEW if least else Cause.NO_SAMPLES


def _bad(side: Side, slow: float) -> int:
    return side.failed + sum(each > slow for each in side.seconds)


def tail_chance(bad_new: int, new: int, bad: int, of: int) -> float:
    """Fisher's: that so many of the `bad` among `of`, or more, fall to the new ones by chance."""
    from scipy.stats import hypergeom  # takes a second, and only who has a baseline needs it

    return float(hypergeom.sf(bad_new - 1, of, bad, new))


def bulk_chance(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mann and Whitney's: that new ones are slower as often as that by chance. Along the last axis."""
    from scipy.stats import mannwhitneyu

    found: NDArray[np.float64] = mannwhitneyu(
        new, old, alternative="greater", method="asymptotic", axis=-1
    ).pvalue
    return found


def together(kinds: Iterable[tuple[Side, Side]]) -> tuple[Side, Side]:
    """Old and new of all kinds as one, each duration as a multiple of what is usual for its kind."""
    found: tuple[list[float], list[float]] = ([], [])
    failed = [0, 0]
    for sides in kinds:
        usual = float(np.median([*sides[0].seconds, *sides[1].seconds] or [1.0]))
        for which, side in enumerate(sides):
            found[which].extend(each / usual for each in side.seconds)
            failed[which] += side.failed
    return Side(tuple(found[0]), failed[0]), Side(tuple(found[1]), failed[1])


def alarms(compared: Mapping[str, Compared], risk: float = RISK) -> list[Alarm]:
    """By kind of request. The chance of any alarm at all is at most `risk` if nothing changed."""
    chances = {(name, "tail"): each.tail for name, each in compared.items()}
    chances |= {(name, "bulk"): each.bulk for name, each in compared.items()}
    corrected = dict(zip(chances, holm(list(chances.values())), strict=True))
    found: list[Alarm] = []
    for name, each in compared.items():
        if corrected[name, "tail"] <= risk:
            found.append(Alarm(name, "tail", corrected[name, "tail"], _said_of_tail(name, each)))
        if corrected[name, "bulk"] <= risk and each.ratio >= LEAST_EFFECT:
            found.append(Alarm(name, "bulk", corrected[name, "bulk"], _said_of_bulk(name, each)))
    return found


def _said_of_tail(kind: str, each: Compared) -> str:
    old, new = each.bad
    said = f"{new} of {each.new.of} failed", f"{old} of {each.old.of}"
    if math.isinf(each.slow):
        return f"{said[0]}, before {said[1]}"
    limits = (f"took over {_long(kind, limit)}" for limit in (LEAST_EFFECT * each.slow, each.slow))
    return f"{said[0]} or {next(limits)}, before {said[1]} failed or {next(limits)}"


def _said_of_bulk(kind: str, each: Compared) -> str:
    return f"{medians(kind, each)}: typically {each.ratio:.2f} times as long"


def medians(kind: str, each: Compared) -> str:
    """`140 ms, before 100 ms`"""
    shown = [_long(kind, float(np.median(side.seconds or [math.inf]))) for side in (each.new, each.old)]
    return f"{shown[0]}, before {shown[1]}"


def _long(kind: str, seconds: float) -> str:
    if math.isinf(seconds):
        return "all failed"
    return f"{seconds:.3g} times the usual" if kind == TOGETHER else f"{1000 * seconds:.3g} ms"


def holm(chances: Sequence[float]) -> list[float]:
    """The same, each corrected for there being so many."""
    adjusted, worst = [1.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda each: chances[each])):
        worst = max(worst, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = worst
    return adjusted


async def interleaved(
    asks: Sequence[Callable[[], Awaitable[T]]],
    dice: random.Random,
    *,
    rounds: int,
    warm_up: int,
    late: Callable[[], bool] = lambda: False,
) -> list[list[T]]:
    """What each heard in each round. Within one they are asked one after the other, in an order of its own.

    The first `warm_up` rounds don't count. Ends early, after a whole round, when it is `late`.
    """
    found: list[list[T]] = []
    for number in range(warm_up + rounds):
        if late():
            break
        heard: dict[int, T] = {}
        for which in dice.sample(range(len(asks)), len(asks)):
            heard[which] = await asks[which]()
        if number >= warm_up:
            found.append([heard[which] for which in range(len(asks))])
        await asyncio.sleep(0)
    return found
