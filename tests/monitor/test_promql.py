"""Our arithmetic against a real Prometheus: the same made-up series, the same question, the same answer.

`ORACLE_SEED=7 pytest tests/monitor/test_promql.py` tries other series.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from random import Random

import pytest

from exporters.sample import Sample
from monitor import promql, slis
from monitor.expressions import inline
from monitor.selector import parse_selector
from monitor.series import TargetSeries
from tests.oracle import GRID, MadeUp, Oracle, Points, disagreements, run_oracle

SEED = int(os.environ.get("ORACLE_SEED", "1"))
CASES = range(300)
NOW = 1_000_000.0
"""Early in 1970, where floats resolve a microsecond of a microsecond."""
WINDOWS = (60.0, 300.0)
BOUNDS = (-1.0, 0.0, 0.1, 0.2, 0.5, 1.0, 3.0, math.inf)
QUANTILES = (0.0, 0.5, 0.95, 1.0)
ODD_VALUES = (math.nan, math.inf, -math.inf, -5.0, 0.0)


def times(random: Random) -> list[float]:
    """Regular, irregular or with a gap; born late, gone early, sometimes nearly or quite empty."""
    first = NOW - random.choice((400, 310, 300, 290, random.uniform(0, 320)))
    last = NOW - random.choice((0, 0, 5, random.uniform(0, 300)))
    step = random.choice((5, 15, 30, None))
    found, at = [], round(first / GRID) * GRID
    while at <= last:
        found.append(at)
        at += step or max(1, round(random.expovariate(1 / 15) / GRID)) * GRID
    if found and random.random() < 0.2:
        gap = random.choice(found)
        found = [each for each in found if not gap < each < gap + 100]
    return found[: random.choice((1, 2, 3))] if random.random() < 0.15 else found


def counter(random: Random, at: list[float]) -> Points:
    """Born at 0 or long ago; quiet, steady or bursty; restarts, to 0 or not quite."""
    value = random.choice((0.0, 0.0, 1.0, float(random.randrange(100_000)), random.random()))
    most, restarts = random.choice((0, 1, 3, 500)), random.choice((0, 0, 0.1))
    points = []
    for each in at:
        points.append((each, value))
        if random.random() < restarts:
            value = random.choice((0.0, value / 3))
        value += random.randint(0, most)
    return points


def gauge(random: Random, at: list[float]) -> Points:
    odd = random.choice((0, 0, 0.2, 1))
    return [
        (each, random.choice(ODD_VALUES) if random.random() < odd else random.gauss(100, 30)) for each in at
    ]


def histogram(random: Random, at: list[float]) -> dict[float, Points]:
    """Cumulative buckets; now and then all quiet, without +Inf, or scraped while they were being written."""
    per_step = random.choice((0, 1, 1, 20))
    counts = dict.fromkeys(BOUNDS, 0.0)
    points: dict[float, list[tuple[float, float]]] = {bound: [] for bound in BOUNDS}
    torn, slowness = random.choice((0, 0, 0.3)), random.uniform(0.05, 3)
    for each in at:
        for _ in range(random.randint(0, per_step)):
            seconds = random.expovariate(1 / slowness)
            for bound in BOUNDS:
                counts[bound] += seconds <= bound and random.random() >= torn
        for bound in BOUNDS:
            points[bound].append((each, counts[bound]))
    kept = BOUNDS if random.random() < 0.8 else random.sample(BOUNDS, random.randint(1, len(BOUNDS)))
    return {bound: points[bound] for bound in sorted(kept)}


def made_up(random: Random) -> Iterator[MadeUp]:
    for case in CASES:
        yield MadeUp(case, "c_total", {}, counter(random, times(random)))
        yield MadeUp(case, "g", {}, gauge(random, times(random)))
        yield MadeUp(case, "capacity", {}, gauge(random, times(random)))
        probes = [(at, float(random.random() < 0.8)) for at in times(random)]
        yield MadeUp(case, "probe_success", {}, probes)
        for worker in range(random.choice((1, 1, 2))):
            scrapes = times(random)
            for bound, points in histogram(random, scrapes).items():
                le = "+Inf" if bound == math.inf else str(bound)
                yield MadeUp(case, "h_bucket", {"le": le, "worker": str(worker)}, points)
        for status in random.sample(("200", "404", "500", "503"), random.randint(1, 4)):
            yield MadeUp(case, "requests_total", {"status": status}, counter(random, times(random)))


@cache
def all_series() -> list[MadeUp]:
    return list(made_up(Random(SEED)))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    print(f"ORACLE_SEED={SEED}")
    with run_oracle(all_series(), tmp_path_factory.mktemp("oracle")) as running:
        yield running


def memory_of(series: list[MadeUp]) -> TargetSeries:
    memory = TargetSeries({each.name: 1000.0 for each in series})
    for each in series:
        labels = tuple(sorted(each.labels.items()))
        for at, value in each.points:
            memory.remember(at, [Sample(each.name, labels, value)])
    return memory


@cache
def memories() -> dict[int, TargetSeries]:
    by_case: dict[int, list[MadeUp]] = {case: [] for case in CASES}
    for series in all_series():
        by_case[series.case].append(series)
    return {case: memory_of(series) for case, series in by_case.items()}


def ranges(name: str, window: float) -> dict[int, promql.Points]:
    """What each case's only series of that name holds in the window, where it holds anything."""
    found = {}
    for case, memory in memories().items():
        for series in memory.select(parse_selector(name)):
            points = series.between(NOW - window, NOW)
            if points[0]:
                found[case] = points
    return found


@pytest.mark.parametrize("window", WINDOWS)
def test_rate(oracle: Oracle, window: float) -> None:
    ours = {
        case: promql.rate(points, NOW - window, NOW) for case, points in ranges("c_total", window).items()
    }
    assert any(rate is None for rate in ours.values())
    assert not disagreements(ours, oracle.ask(f"rate(c_total[{window:.0f}s])", NOW))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("function", "ours"),
    [
        *((f"quantile_over_time({q}, %s)", partial(promql.quantile_over_time, q)) for q in QUANTILES),
        ("max_over_time(%s)", promql.max_over_time),
    ],
)
def test_over_time(
    oracle: Oracle, function: str, ours: Callable[[Sequence[float]], float], window: float
) -> None:
    said: dict[int, float | None] = {case: ours(values) for case, (_, values) in ranges("g", window).items()}
    assert not disagreements(said, oracle.ask(function % f"g[{window:.0f}s]", NOW))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("q", QUANTILES)
def test_histogram_quantile(oracle: Oracle, q: float, window: float) -> None:
    kind = slis.Quantile(parse_selector("h"), q)
    theirs = oracle.ask(f"histogram_quantile({q}, sum by (target, le) (rate(h_bucket[{window:.0f}s])))", NOW)
    assert not disagreements(measured(kind, window), without_nan(theirs))


REQUESTS, FAILED = parse_selector("requests_total"), parse_selector('requests_total{status=~"5.."}')
PROBES, GAUGE, CAPACITY = map(parse_selector, ("probe_success", "g", "capacity"))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "kind",
    [
        slis.Availability(PROBES),
        slis.BurnRate(PROBES, slo=0.9, short_window=30.0, minimum_failures=1),
        slis.Busy(REQUESTS, CAPACITY),
        slis.Gauge(GAUGE),
        slis.GaugeQuantile(GAUGE, 0.5),
        slis.Quantile(parse_selector("h"), 0.95),
        slis.Rate(REQUESTS, per=60.0),
        slis.Ratio(FAILED, REQUESTS),
        slis.Total(REQUESTS),
        slis.Utilisation(GAUGE, CAPACITY),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_whole_sli_kinds(oracle: Oracle, kind: slis.Sli, window: float) -> None:
    """The expression that the rules are made of. tests/differential has the rules themselves."""
    asked = kind.promql(window, inline)
    assert not disagreements(measured(kind, window), without_nan(oracle.ask(asked.value, NOW)))
    samples = {
        case: float(said.samples) if (said := kind.measure(memory, window, NOW)).present else None
        for case, memory in memories().items()
    }
    assert not disagreements(samples, without_nan(oracle.ask(asked.samples, NOW)))


def measured(kind: slis.Sli, window: float) -> dict[int, float | None]:
    return {case: kind.measure(memory, window, NOW).value for case, memory in memories().items()}


def without_nan(values: dict[int, float]) -> dict[int, float]:
    """An SLI has no value where PromQL has NaN."""
    return {case: value for case, value in values.items() if not math.isnan(value)}


def test_the_made_up_series_hold_what_they_are_for() -> None:
    counters = [series.points for series in all_series() if series.name == "c_total"]
    assert any(len(points) == 2 for points in counters)
    assert any(later[1] < earlier[1] for points in counters for earlier, later in pairwise(points))
    assert any(points and points[0][1] == 0 for points in counters)
    assert any(points and points[0][0] == NOW - 300 for points in counters)
