"""Two questions, neither of which answers the other; held against SciPy and simulated services."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu

from benchmarks.gate import KINDS, chances
from monitor.gate.compare import (
    LEAST,
    PAIRS,
    TOGETHER,
    Side,
    alarms,
    compare,
    holm,
    interleaved,
    tail_chance,
    together,
)
from monitor.gate.model import Cause

QUANTILES = [NormalDist().inv_cdf((n + 0.5) / 120) for n in range(120)]
OLD = Side(tuple(0.1 * float(np.exp(0.3 * each)) for each in QUANTILES))


def slower(times: float, share: float = 1.0) -> Side:
    """Evenly spread over quick and slow ones."""
    every = round(1 / share)
    return Side(tuple(each * times if n % every == 0 else each for n, each in enumerate(OLD.seconds)))


def test_the_same_raises_no_alarm() -> None:
    found = compare(OLD, OLD)
    assert found.ratio == pytest.approx(1.0)
    assert found.tail > 0.4
    assert found.bulk > 0.4
    assert alarms({"health": found}) == []


def test_all_slower_is_seen_in_the_bulk() -> None:
    found = alarms({"health": compare(OLD, slower(1.4))})
    assert "bulk" in {each.part for each in found}
    bulk = next(each for each in found if each.part == "bulk")
    assert bulk.said == "140 ms, before 100 ms: typically 1.40 times as long"


def test_a_slow_tail_is_seen_where_ranks_miss_it() -> None:
    compared = compare(OLD, slower(8.0, share=0.1))
    assert compared.bulk > 0.05
    (found,) = alarms({"health": compared})
    assert found.part == "tail"
    assert found.said == "12 of 120 failed or took over 265 ms, before 0 of 120 failed or took over 221 ms"


def test_failures_are_of_the_tail() -> None:
    (found,) = alarms({"health": compare(OLD, Side(OLD.seconds[:-15], failed=15))})
    assert (found.part, found.said) == ("tail", "15 of 120 failed, before 0 of 120")


def test_all_failed_is_an_alarm() -> None:
    assert [each.part for each in alarms({"health": compare(OLD, Side((), failed=120))})] == ["tail"]


def test_what_is_faster_is_no_regression() -> None:
    assert alarms({"health": compare(slower(3.0), OLD)}) == []


def test_what_hardly_matters_is_no_regression_however_sure() -> None:
    many = Side(tuple(float(each) for each in np.linspace(0.1, 0.11, 2000)))
    found = compare(many, Side(tuple(1.1 * each for each in many.seconds)))
    assert found.bulk < 1e-9
    assert alarms({"health": found}) == []


def test_one_slow_kind_shows_in_its_own_a_little_of_everything_in_all() -> None:
    kinds = {f"GET /{n}": (OLD, slower(1.5) if n == 3 else OLD) for n in range(5)}
    assert {each.kind for each in alarms({name: compare(*sides) for name, sides in kinds.items()})} == {
        "GET /3"
    }
    few = Side(OLD.seconds[::10])
    every = [(few, Side(tuple(1.35 * each for each in few.seconds))) for _ in range(10)]
    compared = {f"GET /{n}": compare(*sides) for n, sides in enumerate(every)}
    assert alarms(compared) == []
    assert {each.kind for each in alarms({**compared, TOGETHER: compare(*together(every))})} == {TOGETHER}


def test_all_kinds_are_compared_as_multiples_of_what_is_usual() -> None:
    old, new = together([(Side((1.0, 3.0)), Side((2.0,), 1)), (Side((10.0,)), Side((30.0,)))])
    assert (old.seconds, old.failed) == ((0.5, 1.5, 0.5), 0)
    assert (new.seconds, new.failed) == ((1.0, 1.5), 1)
    assert together([(Side((), 2), Side((), 3))]) == (Side((), 2), Side((), 3))


@pytest.mark.parametrize(
    ("new", "cause"),
    [(Side(()), Cause.NO_SAMPLES), (Side((0.1,) * (LEAST - 1)), Cause.TOO_FEW), (Side((0.1,) * LEAST), None)],
)
def test_too_few_to_tell_is_said(new: Side, cause: Cause | None) -> None:
    assert compare(OLD, new).cause is cause
    assert compare(new, OLD).cause is cause


def test_chances_are_those_of_scipy() -> None:
    dice = np.random.default_rng(1)
    for _ in range(20):
        bad_old, bad_new = (int(each) for each in dice.integers(0, 30, 2))
        table = [[bad_new, 90 - bad_new], [bad_old, 120 - bad_old]]
        expected = fisher_exact(table, alternative="greater").pvalue
        assert tail_chance(bad_new, 90, bad_old + bad_new, 210) == pytest.approx(expected)
        old, new = dice.random(70), dice.random(80) + 0.1
        expected = mannwhitneyu(new, old, alternative="greater", method="asymptotic").pvalue
        assert compare(Side(tuple(old)), Side(tuple(new))).bulk == pytest.approx(expected)


def test_the_simulated_gates_compare_as_this_does() -> None:
    old, new = np.random.default_rng(2).lognormal(size=(2, 3, KINDS, PAIRS))
    simulated = chances(old, new)
    for gate in range(3):
        kinds = [(Side(tuple(old[gate, n])), Side(tuple(new[gate, n]))) for n in range(KINDS)]
        for n, sides in enumerate([*kinds, together(kinds)]):
            found = compare(*sides)
            assert found.tail == pytest.approx(simulated.tail[gate, n])
            assert found.bulk == pytest.approx(simulated.bulk[gate, n])


def test_holm_is_that_of_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


async def test_old_and_new_take_turns() -> None:
    heard: list[str] = []

    def service(name: str) -> Callable[[], Awaitable[int]]:
        async def ask() -> int:
            heard.append(name)
            return len(heard)

        return ask

    found = await interleaved([service("new"), service("old")], random.Random(1), rounds=50, warm_up=2)
    assert len(found) == 50
    pairs = [tuple(heard[n : n + 2]) for n in range(0, len(heard), 2)]
    assert len(pairs) == 52
    assert {*pairs} == {("old", "new"), ("new", "old")}
    assert all([heard[number - 1] for number in each] == ["new", "old"] for each in found)


async def test_no_time_left_ends_it_after_a_whole_round() -> None:
    asked = 0

    async def ask() -> float:
        nonlocal asked
        asked += 1
        return 0.1

    late = lambda: asked >= 13  # noqa: E731
    found = await interleaved([ask, ask], random.Random(1), rounds=60, warm_up=2, late=late)
    assert found == [[0.1, 0.1]] * 5
