"""The computed risks are those of simulated tests, lines never turn back, bounds hold in spite of looking."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.gate import GATES, played
from monitor.gate.bounds import upper
from monitor.gate.sequential import MOST, RISK, Sequential, Verdict, planned

LIMITS = (0.2, 0.05, 0.01)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("of_limit", [0.2, 1.0, 3.0])
def test_odds_are_what_simulated_gates_do(limit: float, of_limit: float) -> None:
    test, share = planned(limit), min(of_limit * limit, 0.9)
    ends, odds = played(test, share), planned(limit).odds(share)
    error = 4 / np.sqrt(GATES)  # four standard errors, at most half each
    assert np.mean(ends.passed) == pytest.approx(odds.passes, abs=error / 2)
    assert np.mean(ends.failed) == pytest.approx(odds.fails, abs=error / 2)
    assert np.mean(ends.of) == pytest.approx(odds.requests, abs=error * np.std(ends.of) + 1e-9)


def test_the_usual_gate_is_of_the_size_that_is_documented() -> None:
    test = planned(0.05)
    assert test.most == 188
    assert test.odds(0.01).passes == pytest.approx(0.961, abs=0.001)
    assert test.odds(0.01).requests == pytest.approx(126.8, abs=0.1)
    assert test.odds(0.05).passes <= RISK
    assert test.odds(0.05).fails <= RISK


@pytest.mark.parametrize("limit", LIMITS)
def test_lines_never_turn_back_before_the_end(limit: float) -> None:
    test = planned(limit)
    for line in (test.passing[:-1], test.failing[:-1]):
        assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(line))
    assert all(good < bad for good, bad in zip(test.passing, test.failing, strict=True))
    assert test.passing[-1] >= test.passing[-2]
    assert test.failing[-1] <= test.failing[-2]


def test_each_request_decides_or_leaves_it_open() -> None:
    test = planned(0.05)
    assert test.verdict(0, 0) is None
    assert test.verdict(0, 85) is None
    assert test.verdict(0, 86) is Verdict.PASS
    assert test.verdict(1, 2) is None
    assert test.verdict(4, 4) is Verdict.FAIL
    assert test.verdict(test.passing[-1] + 1, 188) is Verdict.INCONCLUSIVE
    assert test.verdict(test.failing[-1], 188) is Verdict.FAIL
    assert test.verdict(test.passing[-1] + 1, 500) is Verdict.INCONCLUSIVE


def test_what_is_missing_is_what_it_takes() -> None:
    test = planned(0.05)
    for bad, of in [(0, 0), (0, 30), (1, 90), (2, 100), (4, 150)]:
        needed = test.missing(bad, of)
        assert test.verdict(bad, of + needed) is Verdict.PASS
        assert needed == 1 or test.verdict(bad, of + needed - 1) is None
    assert test.missing(0, 86) == 0
    assert test.missing(9, 188) > 0  # beyond the end


@cache
def both_bounds(test: Sequential, bad: int, of: int) -> tuple[float, float]:
    return test.lower(bad, of), test.upper(bad, of)


@pytest.mark.parametrize("share", [0.04, 0.2, 0.5])
def test_bounds_hold_as_often_as_they_say(share: float) -> None:
    ends = played(planned(0.2), share)
    found = [both_bounds(planned(0.2), bad, of) for bad, of in zip(ends.bad, ends.of, strict=True)]
    low, high = np.array(found).T
    slack = 3 * np.sqrt(RISK * (1 - RISK) / GATES)
    assert np.mean(high < share) <= RISK + slack
    assert np.mean(low > share) <= RISK + slack


def test_bounds_agree_with_the_verdict() -> None:
    test = planned(0.05)
    assert all(test.upper(bad, 188) < 0.05 for bad in range(test.passing[-1] + 1))
    assert test.lower(test.failing[-1], 188) >= 0.05
    assert test.upper(0, 86) == pytest.approx(upper(0, 86), rel=1e-3)  # nobody could pass before
    assert test.lower(4, 4) > 0.05
    assert (test.lower(0, 0), test.upper(0, 0)) == (0.0, 1.0)
    assert test.upper(7, 7) == 1.0


def test_what_takes_too_many_requests_is_refused() -> None:
    with pytest.raises(ValueError, match=rf"below 0.010% takes more than {MOST} requests"):
        planned(0.0001)
