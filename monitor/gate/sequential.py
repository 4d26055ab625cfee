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
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

RISK = 0.05
"""That a service at its limit passes; and that one which keeps it fails."""
POWER = 0.95
"""With which one at a fifth of its limit passes."""
GOOD, BAD = 1 / 5, 3.0
"""Shares, in units of the limit, that the tests are made for."""
EARLY = 0.6
"""Of the risk, for stopping before the end."""
MOST = 5_000
SMALLEST = 1e-6
"""A share below it is as good as none."""
POINTS = 60


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


Shares = NDArray[np.float64]
Number = TypeVar("Number", float, Shares)


class Odds(NamedTuple, Generic[Number]):
    """Probabilities of how it ends for a service with some share of bad requests; `requests` on average."""

    passes: Number
    fails: Number
    requests: Number


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

    @property
    def passing(self) -> list[int]:
        """By number of requests: at most so many bad ones pass; -1 where none do."""
        return self._lines[0]

    @property
    def failing(self) -> list[int]:
        """By number of requests: so many bad ones fail."""
        return self._lines[1]

    @cached_property
    def _lines(self) -> tuple[list[int], list[int]]:
        """Wald's, and at the end as much of the risk as they have left."""
        passing = _passing(self.limit, self.most, EARLY * self.risk)
        failing = _failing(self.limit, self.most, EARLY * self.risk)
        passing[-1], failing[-1] = -1, failing[-1] + 1
        early, undecided = _walk(passing, failing, np.array([self.limit]))
        few, many = undecided[:, 0].cumsum(), undecided[::-1, 0].cumsum()[::-1]
        passing[-1] = int(np.sum(early.passes + few <= self.risk)) - 1
        failing[-1] = max(passing[-1] + 1, int(np.sum(early.fails + many > self.risk)))
        return passing, failing

    def odds(self, share: float) -> Odds[float]:
        """For a service of which this share of all requests is bad."""
        passes, fails, requests = _walk(self.passing, self.failing, np.array([share]))[0]
        return Odds(float(passes[0]), float(fails[0]), float(requests[0]))

    def upper(self, bad: int, of: int) -> float:
        """The share is below it with a confidence of 1 - risk, although each request was looked at.

        By the order in which such tests end: better than `bad` of `of` is all that passed earlier. In a test
        that passes it is therefore below the limit.
        """
        of = min(of, self.most)
        if bad >= of:
            return 1.0
        passing, failing = [*self.passing[:of], bad], [*self.failing[:of], bad + 1]
        return _crossing(lambda share: self.risk - _walk(passing, failing, share)[0].passes)[1]

    def lower(self, bad: int, of: int) -> float:
        """The share is above it, likewise. In a test that fails it is above the limit."""
        of = min(of, self.most)
        if bad == 0:
            return 0.0
        passing, failing = [*self.passing[:of], bad - 1], [*self.failing[:of], bad]
        return _crossing(lambda share: _walk(passing, failing, share)[0].fails - self.risk)[0]

    def missing(self, bad: int, of: int) -> int:
        """How many more requests it takes to pass if all of them are good, beyond `most` if need be."""
        for n in range(of, self.most + 1):
            if bad <= self.passing[n]:
                return n - of
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
            raise ValueError(
                f"to show a share below {limit:.3%} takes more than {MOST} requests: read it from history"
            )
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


def _crossing(rising: Callable[[Shares], Shares]) -> tuple[float, float]:
    """Two shares close to each other between which the function goes through 0."""
    shares = np.geomspace(SMALLEST, 1, POINTS)
    for _ in range(3):
        above = int(np.argmax(rising(shares) >= 0))
        if above == 0:
            return 0.0, float(shares[0])
        low, high = float(shares[above - 1]), float(shares[above])
        shares = np.linspace(low, high, POINTS)
    return low, high


def _walk(passing: list[int], failing: list[int], share: Shares) -> tuple[Odds[Shares], Shares]:
    """Over all (n, bad) that are not decided yet, with their probabilities, for many shares at once.

    Also what is undecided at the end: by number of bad ones, and share.
    """
    open_ = np.zeros((max(failing) + 1, share.size))
    open_[0] = 1
    passes, fails, asked = np.zeros((3, share.size))
    for n in range(1, len(passing)):
        asked += open_.sum(axis=0)
        open_[1:] = open_[1:] * (1 - share) + open_[:-1] * share
        open_[0] *= 1 - share
        passed = open_[: passing[n] + 1]
        passes += passed.sum(axis=0)
        passed[:] = 0
        failed = open_[failing[n] :]
        fails += failed.sum(axis=0)
        failed[:] = 0
    return Odds(passes, fails, asked), open_
