"""The one alert that promtool can't test: it is judged from more samples than promtool takes into a query."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.expressions import inline
from monitor.objectives import load_objectives
from monitor.render.rules import COMPARISONS
from tests.oracle import MadeUp, run_oracle

OBJECTIVE = load_objectives(Path(__file__).parents[2] / "alerts" / "objectives.yml").by_name("availability")
EVERY = 30.0
LAST = 10_000_000.0
ENOUGH = OBJECTIVE.minimum_samples
ALLOWED = round((1 - OBJECTIVE.breach.value) * ENOUGH)
"""Failures among just enough probes that still keep the objective."""


def probes(case: int, failures: int, count: int) -> MadeUp:
    first = LAST - (count - 1) * EVERY
    points = [(first + number * EVERY, float(number >= failures)) for number in range(count)]
    return MadeUp(case, "probe_success", {"check": "health"}, points)


@pytest.fixture(scope="module")
def breaches(tmp_path_factory: pytest.TempPathFactory) -> set[int]:
    series = [
        probes(1, ALLOWED + 1, ENOUGH),
        probes(2, ALLOWED, ENOUGH),
        probes(3, 5 * ALLOWED, ENOUGH - 1),
        probes(4, 0, ENOUGH),
    ]
    asked = OBJECTIVE.sli.promql(OBJECTIVE.window, inline)
    broken = f"({asked.value}) {COMPARISONS[OBJECTIVE.breach.operator]} {OBJECTIVE.breach.value}"
    with run_oracle(series, tmp_path_factory.mktemp("oracle")) as prometheus:
        return set(prometheus.ask(f"{broken} and ({asked.samples}) >= {ENOUGH}", LAST))


def test_one_failure_too_many_breaks_it(breaches: set[int]) -> None:
    assert 1 in breaches


@pytest.mark.parametrize("case", [2, 3, 4], ids=["as many as allowed", "too few probes", "none failed"])
def test_it_is_kept_or_not_judged(case: int, breaches: set[int]) -> None:
    assert case not in breaches
