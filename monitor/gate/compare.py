"""Is the new one slower, or worse, than the old one? Two questions: one test misses what the other finds.

    tail  more answers failed or are among the slowest: Fisher's exact test. A tenth of all requests that
          became slow leaves most ranks as they were, so a test of ranks does not see it
    bulk  all are slower: Mann and Whitney's test, and the typical ratio of new to old is at least
          LEAST_EFFECT, for with enough requests any difference is significant

Old and new are asked in turns, so that what happens to both (a busy machine, a slow network) makes them no
different. All alarms of a gate are corrected together (Holm, A simple sequentially rejective multiple test
procedure, Scand. J. Statist. 6, 1979): with ten comparisons at one in twenty each, two gates in five would
cry wolf.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, mannwhitneyu

from monitor.gate.model import Cause

RISK = 0.05
TAIL = 0.95
"""What takes longer than this quantile of all answers, old and new, is among the slowest."""
LEAST_EFFECT = 1.2
PAIRS = 120
LEAST = 60
"""Requests on either side, below which a difference worth an alarm would too often go unseen."""


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
    and new. `cause`: why nobody can tell.
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

    check: str
    part: Literal["tail", "bulk"]
    chance: float
    said: str


def compare(old: Side, new: Side) -> Compared:
    failed = [math.inf] * (old.failed + new.failed)
    slow = float(slowest(np.array([*old.seconds, *new.seconds, *failed]))) if old.of + new.of else math.inf
    bad = _bad(old, slow), _bad(new, slow)
    durations = np.array(old.seconds), np.array(new.seconds)
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
    return float(hypergeom.sf(bad_new - 1, of, bad, new))


def bulk_chance(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mann and Whitney's: that new ones are slower as often as that by chance. Along the last axis."""
    found: NDArray[np.float64] = mannwhitneyu(
        new, old, alternative="greater", method="asymptotic", axis=-1
    ).pvalue
    return found


def alarms(compared: Mapping[str, Compared], risk: float = RISK) -> list[Alarm]:
    """By name of check. The chance of any alarm at all is at most `risk` if nothing changed."""
    chances = {(name, "tail"): each.tail for name, each in compared.items()}
    chances |= {(name, "bulk"): each.bulk for name, each in compared.items()}
    corrected = dict(zip(chances, holm(list(chances.values())), strict=True))
    found: list[Alarm] = []
    for name, each in compared.items():
        if corrected[name, "tail"] <= risk:
            found.append(Alarm(name, "tail", corrected[name, "tail"], _said_of_tail(each)))
        if corrected[name, "bulk"] <= risk and each.ratio >= LEAST_EFFECT:
            found.append(Alarm(name, "bulk", corrected[name, "bulk"], _said_of_bulk(each)))
    return found


def _said_of_tail(each: Compared) -> str:
    old, new = each.bad
    slow = "" if math.isinf(each.slow) else f" or took over {1000 * each.slow:.3g} ms"
    return f"{new} of {each.new.of} failed{slow}, before {old} of {each.old.of}"


def _said_of_bulk(each: Compared) -> str:
    new, old = (f"{1000 * float(np.median(side.seconds)):.3g} ms" for side in (each.new, each.old))
    return f"the median is {new}, before {old}: typically {each.ratio:.2f} times as long"


def holm(chances: Sequence[float]) -> list[float]:
    """The same, each corrected for there being so many."""
    adjusted, worst = [1.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda each: chances[each])):
        worst = max(worst, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = worst
    return adjusted


AskSeconds = Callable[[], Awaitable[float | None]]
"""Seconds that a good answer took; None for a failure."""


async def interleaved(
    old: AskSeconds,
    new: AskSeconds,
    dice: random.Random,
    *,
    pairs: int = PAIRS,
    warm_up: int = 3,
    late: Callable[[], bool] = lambda: False,
) -> tuple[Side, Side]:
    """Each pair in an order of its own, one request after the other; the first `warm_up` pairs don't count.

    Ends early, after a whole pair, when it is `late`.
    """
    found: tuple[list[float | None], list[float | None]] = ([], [])
    for pair in range(warm_up + pairs):
        if late():
            break
        for which in dice.sample((0, 1), 2):
            seconds = await (old, new)[which]()
            if pair >= warm_up:
                found[which].append(seconds)
        await asyncio.sleep(0)
    return _side(found[0]), _side(found[1])


def _side(found: Sequence[float | None]) -> Side:
    good = tuple(each for each in found if each is not None)
    return Side(good, len(found) - len(good))
