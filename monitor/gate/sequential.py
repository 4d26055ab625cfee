"""When to stop asking: a sequential test that passes, fails or runs out, with its risks computed.

Looking at a fixed-size interval after every request errs several times as often as it says. Two of Wald's
sequential probability ratio tests (Sequential tests of statistical hypotheses, Ann. Math. Stat. 16, 1945) are
looked at instead, each of which stops on one side alone: one shows a share below the limit, the other one
above. They are cut off after `most` requests, where what is left of the risk decides; the recursion over
(n, bad) that says what the whole errs is Aroian's direct method (Technometrics 10, 1968). Shares and risks
are numbers from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

RISK = 0.05
"""That a service at its limit passes; and that one which keeps it fails."""
POWER = 0.95
"""With which one at a fifth of its limit passes."""
GOOD, BAD = 1 / 5, 3.0
"""Shares, in units of the limit, that the tests are made for."""
EARLY = 0.6
"""Of the risk, for stopping before the end."""
MOST = 20_000


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Odds(NamedTuple):
    """Probabilities of how it ends for a service with some share of bad requests; `requests` on average."""

    passes: float
    fails: float
    requests: float


@dataclass(frozen=True)
class Sequential:
    """For a claim that fewer than `limit` of all requests are bad, with at most `most` requests."""

    limit: float
    most: int
    risk: float = RISK

    def verdict(self, bad: int, of: int) -> Verdict | None:
        """After `of` requests in a row were looked at one by one; None: go on."""
        if bad <= self.passing[min(of, self.most)]:
            return Verdict.PASS
        if bad >= self.failing[min(of, self.most)]:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if of >= self.most else None

    @cached_property
    def passing(self) -> list[int]:
        """By number of requests: at most so many bad ones pass; -1 where none do."""
        bounds = _passing(self.limit, self.most, EARLY * self.risk)
        failing = _failing(self.limit, self.most, EARLY * self.risk)
        while _ends(bounds, failing, self.limit).passes <= self.risk:
            bounds[-1] += 1
        bounds[-1] -= 1
        return bounds

    @cached_property
    def failing(self) -> list[int]:
        """By number of requests: so many bad ones fail."""
        bounds = _failing(self.limit, self.most, EARLY * self.risk)
        while (
            bounds[-1] - 1 > self.passing[-1] and _ends(self.passing, bounds, self.limit).fails <= self.risk
        ):
            bounds[-1] -= 1
        if _ends(self.passing, bounds, self.limit).fails > self.risk:
            bounds[-1] += 1
        return bounds

    def odds(self, share: float) -> Odds:
        """For a service of which this share of all requests is bad."""
        return _ends(self.passing, self.failing, share)

    def missing(self, bad: int, of: int) -> int:
        """How many more requests it takes to pass if all of them are good, beyond `most` if need be."""
        slope = math.log((1 - self.limit) / (1 - GOOD * self.limit))
        ratio = bad * math.log(1 / GOOD) + (of - bad) * slope
        return max(0, math.ceil((math.log(EARLY * self.risk) - ratio) / slope))


@lru_cache(maxsize=100)
def planned(limit: float, power: float = POWER, risk: float = RISK) -> Sequential:
    """A small one that passes a service at a fifth of its limit with this power.

    ValueError when it would take more than MOST requests: read such a claim from history.
    """
    least, most = 1, 2
    while Sequential(limit, most, risk).odds(GOOD * limit).passes < power:
        least, most = most, 2 * most
        if most > MOST:
            raise ValueError(f"to show a share below {limit:.3%} takes more than {MOST} requests")
    while most - least > 1:
        middle = (least + most) // 2
        if Sequential(limit, middle, risk).odds(GOOD * limit).passes < power:
            least = middle
        else:
            most = middle
    return Sequential(limit, most, risk)


def _passing(limit: float, most: int, risk: float) -> list[int]:
    """Wald's line: with so many bad of n the limit is, by the risk, less likely than a fifth of it."""
    bad, good = math.log(1 / GOOD), math.log((1 - limit) / (1 - GOOD * limit))
    return [max(-1, math.floor((math.log(risk) - n * good) / (bad - good))) for n in range(most + 1)]


def _failing(limit: float, most: int, risk: float) -> list[int]:
    """With so many bad of n the limit is, by the risk, less likely than three times the limit."""
    worse = min(BAD * limit, (1 + limit) / 2)
    bad, good = math.log(worse / limit), math.log((1 - worse) / (1 - limit))
    return [max(1, math.ceil((-math.log(risk) - n * good) / (bad - good))) for n in range(most + 1)]


def _ends(passing: list[int], failing: list[int], share: float) -> Odds:
    """Walks all (n, bad) that are not decided yet, with their probabilities."""
    open_, passes, fails, asked = {0: 1.0}, 0.0, 0.0, 0.0
    for n in range(1, len(passing)):
        asked += sum(open_.values())
        after: dict[int, float] = {}
        for bad, chance in open_.items():
            after[bad] = after.get(bad, 0.0) + chance * (1 - share)
            after[bad + 1] = after.get(bad + 1, 0.0) + chance * share
        open_ = {}
        for bad, chance in after.items():
            if bad <= passing[n]:
                passes += chance
            elif bad >= failing[n]:
                fails += chance
            elif chance > 1e-15:
                open_[bad] = chance
    return Odds(passes, fails, asked)
