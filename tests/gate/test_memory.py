"""The memory check on samples as a healthy API gives them: a few small steps, and pages of 4 KiB."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.gate import LEAK_LIMIT, MB_A_MINUTE
from monitor.gate.checks.memory import EVERY, LOOKS, Samples, _judged
from monitor.gate.sequential import Verdict

RUNS = 60
PAGE = 4096
RUN: Any = SimpleNamespace(claim=SimpleNamespace(breach="at least 0.5"))


def anonymous(dice: np.random.Generator, rate: float) -> Samples:
    """`rate` in bytes a second. Steps of up to 50 kB, one in ten seconds."""
    times = np.arange(0, LOOKS[-1], EVERY)
    steps = dice.integers(PAGE, 50_000, times.size) * (dice.random(times.size) < EVERY / 10)
    values = (95e6 + rate * times + steps.cumsum()) // PAGE * PAGE
    return list(zip(times.tolist(), values.tolist(), strict=True))


def ended(samples: Samples) -> Verdict:
    """As the check does it: looked at a few times until it is decided."""
    for look in LOOKS:
        found = _judged(RUN, [each for each in samples if each[0] <= look], LEAK_LIMIT)
        if found.verdict is not Verdict.INCONCLUSIVE:
            break
    assert found.verdict is not None
    return found.verdict


@pytest.mark.parametrize(
    ("rate", "verdict", "least"),
    [(0.0, Verdict.PASS, 1.0), (0.5, Verdict.FAIL, 0.0), (1.0, Verdict.FAIL, 0.9), (3.0, Verdict.FAIL, 0.9)],
)
def test_a_leak_is_caught_and_nobody_else_blamed(rate: float, verdict: Verdict, least: float) -> None:
    """`rate` in MB a minute; the limit is half of one."""
    dice = np.random.default_rng(6)
    ends = [ended(anonymous(dice, rate * MB_A_MINUTE)) for _ in range(RUNS)]
    assert ends.count(verdict) >= least * RUNS
    if rate == 0:
        assert Verdict.FAIL not in ends
    else:
        assert Verdict.PASS not in ends
