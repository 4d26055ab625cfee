"""Quantiles from sketches, against the exact ones of distributions that are hard on averages."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.history.sketch import RELATIVE_ERROR, SMALLEST, Sketch

QUANTILES = (0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "bimodal": lambda dice: dice.gauss(0.02, 0.001) if dice.random() < 0.94 else dice.gauss(9.5, 0.2),
    "just under p95": lambda _dice: 0.02 if _dice.random() < 0.9505 else 9.5,
    "heavy tail": lambda dice: 0.01 * dice.paretovariate(0.7),
    "constant": lambda _: 0.184,
    "log-normal": lambda dice: dice.lognormvariate(-3, 2),
    "tiny": lambda dice: dice.uniform(1e-9, 1e-6),
    "with zeros": lambda dice: dice.choice((0.0, 0.0, 1e-6, 0.5)),
}


def exact(values: list[float], q: float) -> float:
    """The smallest value that a share of at least q does not exceed."""
    return sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)]


def close(found: float | None, true: float) -> bool:
    return found is not None and abs(found - true) <= true * (RELATIVE_ERROR + 1e-9)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_month_of_hours_put_together_is_right_to_one_percent(name: str) -> None:
    dice = random.Random(name)
    hours = [[DISTRIBUTIONS[name](dice) for _ in range(60)] for _ in range(720)]
    month = Sketch()
    for hour in hours:
        month.merge(Sketch(hour).to_bytes())
    values = [value for hour in hours for value in hour]
    for q in QUANTILES:
        assert close(month.quantile(q), exact(values, q)), q


@given(st.lists(st.floats(SMALLEST, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_any_quantile_of_any_values(values: list[float], q: float) -> None:
    assert close(Sketch(values).quantile(q), exact(values, q))


@given(st.lists(st.lists(st.floats(0, 1e9), max_size=20), max_size=5))
def test_the_order_in_which_sketches_are_merged_does_not_matter(parts: list[list[float]]) -> None:
    merged = Sketch()
    for part in reversed(parts):
        merged.merge(Sketch(part).to_bytes())
    assert merged.to_bytes() == Sketch(value for part in parts for value in part).to_bytes()


def test_nothing_has_no_quantile_and_takes_no_room() -> None:
    assert Sketch().quantile(0.95) is None
    assert Sketch().to_bytes() == b""
    assert not Sketch.from_bytes(b"").buckets


@pytest.mark.parametrize("odd", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_odd_values_are_counted(odd: float) -> None:
    assert len(Sketch([odd])) == 1


def test_many_counts_and_few_bytes() -> None:
    sketch = Sketch([0.01] * 100)
    assert len(sketch.to_bytes()) == 4
    for many in (300, 70_000, 2**33):
        sketch.buckets = {700: many, 701: 1}
        assert Sketch.from_bytes(sketch.to_bytes()).buckets == sketch.buckets
