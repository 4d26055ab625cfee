"""How often the gate errs, over 20,000 simulated gates a case; `python -m benchmarks.gate` prints it all."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate import (
    GATES,
    MB_A_MINUTE,
    NOISE,
    alike,
    compared,
    leaking,
    leaks,
    naive,
    peeking,
    played,
    raw,
    regressed,
    sawtooth,
    stepped,
)
from monitor.gate.sequential import POWER, RISK, planned

SLACK = 3 * (RISK * (1 - RISK) / GATES) ** 0.5
"""Three standard errors of a share of 5 %."""


@pytest.mark.parametrize("limit", [0.2, 0.05, 0.01])
def test_a_service_at_its_limit_passes_at_most_once_in_twenty_early_stop_included(limit: float) -> None:
    ends = played(planned(limit), limit)
    assert len(ends.of) >= 20_000
    assert np.mean(ends.passed) <= RISK + SLACK
    assert np.mean(ends.failed) <= RISK + SLACK


@pytest.mark.parametrize("limit", [0.2, 0.05, 0.01])
def test_one_at_a_fifth_of_its_limit_passes_nineteen_times_in_twenty(limit: float) -> None:
    ends = played(planned(limit), 0.2 * limit)
    assert np.mean(ends.passed) >= POWER
    assert np.mean(ends.failed) < 0.001
    assert np.mean(ends.of) < 0.7 * planned(limit).most


def test_what_simpler_gates_do() -> None:
    assert 0.4 < naive(0.05, 188, 0.05) < 0.6
    assert peeking(0.05, 188, 0.05) > 2 * RISK


@pytest.mark.parametrize("correlation", [0.8, 0.95])
def test_correlated_memory_is_no_leak(correlation: float) -> None:
    assert leaks(NOISE * alike(correlation)) <= RISK


def test_steps_and_saw_teeth_are_no_leaks() -> None:
    assert leaks(stepped()) <= RISK
    assert leaks(sawtooth()) <= RISK


def test_a_leak_is_found() -> None:
    assert leaks(leaking(MB_A_MINUTE)) >= 0.9


def test_samples_as_they_are_cry_wolf() -> None:
    assert raw(0.9) > 0.25


def test_what_did_not_change_raises_no_alarm() -> None:
    assert regressed(compared(gates=2000))[-1] <= RISK


def test_a_machine_that_drifts_raises_none_if_old_and_new_take_turns() -> None:
    assert regressed(compared(drift=1.0, gates=1000))[-1] <= RISK


def test_durations_that_are_alike_make_no_alarm_of_what_hardly_matters() -> None:
    assert regressed(compared(slower=1.1, spread=0.05, gates=500))[-1] <= RISK


def test_regressions_are_found_by_the_test_that_is_for_them() -> None:
    tail, bulk, _ = regressed(compared(tail=0.1, gates=1000))
    assert tail >= 0.9 > 0.25 > bulk
    assert regressed(compared(slower=1.2, gates=500))[1] >= 0.85
    assert regressed(compared(slower=1.5, slow_kinds=1, gates=500))[1] >= 0.95
