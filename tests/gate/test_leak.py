"""Real leaks are found, and what only looks like one is not; held against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, theilslopes

from benchmarks.gate import EVERY, LEAK_LIMIT, MB_A_MINUTE, SAMPLES, alike, trended
from monitor.gate.leak import BLOCKS, LEAST, blocked, leak, trend
from monitor.gate.sequential import Verdict

Samples = list[tuple[float, float]]


def samples(rate: float = 0.0, noise: float = 0.2e6, more: object = 0.0) -> Samples:
    """Two minutes, from 100 MB on; `rate` in bytes a second."""
    times = EVERY * np.arange(SAMPLES)
    values = 1e8 + rate * times + noise * alike(0.5, gates=1)[0] + np.asarray(more)
    return list(zip(times.tolist(), values.tolist(), strict=True))


def verdict(found: Samples) -> Verdict:
    judged = leak(found, LEAK_LIMIT)
    assert judged is not None
    return judged[0]


def test_a_leak_of_a_megabyte_a_minute_fails() -> None:
    judged = leak(samples(MB_A_MINUTE), LEAK_LIMIT)
    assert judged is not None
    assert judged[0] is Verdict.FAIL
    assert judged[1].slope == pytest.approx(MB_A_MINUTE, rel=0.3)
    assert judged[1].low < MB_A_MINUTE < judged[1].high


CLEAN = {
    "flat": samples(noise=0.0),
    "noisy": samples(),
    "shrinks": samples(-MB_A_MINUTE),
    "grows by a tenth of the limit": samples(LEAK_LIMIT / 10),
    "fills its caches at first": samples(more=np.minimum(2e6 * np.arange(SAMPLES), 5e7)),
}


@pytest.mark.parametrize("case", CLEAN)
def test_what_does_not_leak_passes(case: str) -> None:
    assert verdict(CLEAN[case]) is Verdict.PASS


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7, 0.9])
def test_one_step_is_no_leak(at: float) -> None:
    assert verdict(samples(more=5e6 * (np.arange(SAMPLES) > at * SAMPLES))) is not Verdict.FAIL


def test_a_leak_between_steps_and_saw_teeth_is_found() -> None:
    teeth = 5e5 * (np.arange(SAMPLES) % 20) / 20
    assert verdict(samples(2 * MB_A_MINUTE, more=teeth)) is Verdict.FAIL


def test_at_the_limit_nobody_knows() -> None:
    assert verdict(samples(LEAK_LIMIT)) is Verdict.INCONCLUSIVE


def test_too_few_samples_show_nothing() -> None:
    assert leak([], LEAK_LIMIT) is None
    assert leak(samples()[: LEAST - 1], LEAK_LIMIT) is None


def test_blocks_are_of_what_comes_after_the_warm_up() -> None:
    blocks = blocked([(float(n), 10.0 * n) for n in range(151)])
    assert blocks is not None
    times, values = blocks
    assert len(times) == BLOCKS
    assert times[0] == pytest.approx(30 + 5)
    assert values == pytest.approx(10 * times)


def test_slope_and_tau_are_those_of_scipy() -> None:
    dice = np.random.default_rng(5)
    for _ in range(20):
        times = np.cumsum(dice.uniform(5, 6, BLOCKS))
        values = dice.standard_normal(BLOCKS) + 0.05 * times
        found = trend(times, values)
        slope, _, low, high = theilslopes(values, times, alpha=0.9)
        assert found.slope == pytest.approx(slope)
        assert found.tau == pytest.approx(kendalltau(times, values).statistic)
        assert found.low <= low
        assert found.high >= high


def test_the_simulated_gates_look_as_this_does() -> None:
    """They have no warm-up: a fifth more is put before."""
    before = round(SAMPLES / 4)
    values = alike(0.8, 13, 5)
    simulated = trended(values)
    times = EVERY * np.arange(-before, SAMPLES)
    for row, slope, low in zip(values, simulated.slope, simulated.low, strict=True):
        judged = leak(list(zip(times, [9e9] * before + row.tolist(), strict=True)), LEAK_LIMIT)
        assert judged is not None
        assert [judged[1].slope, judged[1].low] == pytest.approx([slope, low])
