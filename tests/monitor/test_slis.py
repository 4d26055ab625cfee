"""What each kind of SLI makes of little, odd and broken data. (Its numbers: test_promql.py.)"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from exporters.sample import Sample, labels
from monitor.selector import Selector, parse_selector
from monitor.series import TargetSeries
from monitor.slis import (
    ABSENT,
    SLI_KINDS,
    Availability,
    BurnRate,
    Busy,
    Gauge,
    GaugeQuantile,
    Quantile,
    Rate,
    Ratio,
    Sli,
    Total,
    Utilisation,
)

M, N = parse_selector("m"), parse_selector("n")
BAD, ALL = parse_selector('m{status=~"5.."}'), parse_selector("m")
BURN = BurnRate(M, slo=0.999, short_window=300.0, minimum_failures=4)
EVERY_KIND: list[Sli] = [
    Gauge(M),
    GaugeQuantile(M, 0.5),
    Quantile(M, 0.95),
    Ratio(BAD, ALL),
    Utilisation(M, N),
    Rate(M, 60.0),
    Total(M),
    Availability(M),
    BURN,
    Busy(M, N),
]


def scraped(*values: float, name: str = "m", into: TargetSeries | None = None, **pairs: str) -> TargetSeries:
    """One series with a sample every 10 s, from 0 s on."""
    target = into or TargetSeries({"m": 1e6, "n": 1e6, "m_bucket": 1e6})
    for number, value in enumerate(values):
        target.remember(10.0 * number, [Sample(name, labels(**pairs), value)])
    return target


def histogram(*counts: dict[str, float]) -> TargetSeries:
    target = scraped()
    for number, buckets in enumerate(counts):
        target.remember(
            10.0 * number, [Sample("m_bucket", labels(le=le), value) for le, value in buckets.items()]
        )
    return target


def probes(results: Iterable[bool]) -> TargetSeries:
    return scraped(*map(float, results))


def test_every_kind_is_tried_here() -> None:
    assert {type(kind) for kind in EVERY_KIND} == set(SLI_KINDS.values())


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: type(kind).__name__)
def test_without_series_there_is_nothing_to_measure(kind: Sli) -> None:
    assert kind.measure(scraped(), 300.0, 20.0) == ABSENT
    old = scraped(1.0, 2.0, into=scraped(1.0, 2.0, name="n"))
    assert kind.measure(old, 300.0, 5000.0) == ABSENT


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_odd_values_are_survived_and_nan_is_never_a_value(kind: Sli, odd: float) -> None:
    target = scraped(odd, odd, 1.0, odd, name="n")
    scraped(0.0, odd, 1.0, odd, into=target, status="500")
    scraped(0.0, odd, 1.0, odd, name="m_bucket", into=target, le="+Inf")
    scraped(0.0, odd, 1.0, odd, name="m_bucket", into=target, le="1")
    measured = kind.measure(target, 300.0, 30.0)
    assert measured.value is None or not math.isnan(measured.value)


def test_gauge_is_the_newest_value_of_the_worst_series() -> None:
    target = scraped(9.0, 1.0, 3.0, instance="a")
    scraped(9.0, 9.0, 2.0, into=target, instance="b")
    measured = Gauge(M).measure(target, 300.0, 20.0)
    assert (measured.value, measured.samples) == (3.0, 6)


def test_gauge_quantile_is_of_each_series_by_itself() -> None:
    target = scraped(1.0, 1.0, 1.0, instance="quick")
    scraped(5.0, 9.0, 7.0, into=target, instance="slow")
    measured = GaugeQuantile(M, 0.5).measure(target, 300.0, 20.0)
    assert measured.value == 7.0
    assert measured.basis == "median of 6 samples"


def test_quantile_says_how_many_requests_it_rests_on() -> None:
    target = histogram({"1": 0, "3": 0, "+Inf": 0}, {"1": 90, "3": 100, "+Inf": 100})
    measured = Quantile(M, 0.95).measure(target, 10.0, 10.0)
    assert measured.value == pytest.approx(2.0)
    assert (measured.samples, measured.basis) == (100, "p95 of 100 requests")


def test_a_threshold_on_a_bucket_edge_is_judged_exactly() -> None:
    """95 of 100 at or below 3 s is a p95 of 3 s and no more; one more above it, and it is more."""
    on_the_edge = histogram({"2": 0, "3": 0, "5": 0, "+Inf": 0}, {"2": 0, "3": 95, "5": 100, "+Inf": 100})
    above = histogram({"2": 0, "3": 0, "5": 0, "+Inf": 0}, {"2": 0, "3": 94, "5": 100, "+Inf": 100})
    assert Quantile(M, 0.95).measure(on_the_edge, 10.0, 10.0).value == 3.0
    assert (Quantile(M, 0.95).measure(above, 10.0, 10.0).value or 0) > 3.0


def test_quantile_without_traffic_is_present_and_has_no_value() -> None:
    quiet = histogram({"1": 7, "+Inf": 7}, {"1": 7, "+Inf": 7})
    measured = Quantile(M, 0.95).measure(quiet, 300.0, 10.0)
    assert measured.present
    assert (measured.value, measured.samples) == (None, 0)


def test_quantile_passes_over_buckets_that_are_none() -> None:
    page = {"1": 0.0, "+Inf": 0.0, "fast": 0.0, "": 0.0}
    target = histogram(page, {"1": 10, "+Inf": 10, "fast": 99, "": 99})
    scraped(0.0, 99.0, name="m_bucket", into=target)
    measured = Quantile(M, 0.5).measure(target, 10.0, 10.0)
    assert measured.value == pytest.approx(0.5)
    assert measured.samples == 10


def test_ratio_without_failures_is_0_and_not_unknown() -> None:
    measured = Ratio(BAD, ALL).measure(scraped(0.0, 50.0, status="200"), 10.0, 10.0)
    assert (measured.value, measured.samples, measured.basis) == (0.0, 50, "0 of 50 requests")


def test_ratio_counts_both_sets_apart() -> None:
    target = scraped(0.0, 95.0, status="200")
    scraped(0.0, 4.0, into=target, status="500")
    scraped(0.0, 1.0, into=target, status="503")
    measured = Ratio(BAD, ALL).measure(target, 10.0, 10.0)
    assert measured.value == pytest.approx(0.05)
    assert measured.basis == "5 of 100 requests"


def test_ratio_after_a_quiet_time_is_no_value() -> None:
    measured = Ratio(BAD, ALL).measure(scraped(7.0, 7.0, 7.0, status="500"), 300.0, 20.0)
    assert measured.present
    assert (measured.value, measured.samples) == (None, 0)


def test_utilisation_is_the_highest_use_over_what_there_was() -> None:
    target = scraped(2.0, 9.0, 1.0, worker="a")
    scraped(1.0, 1.0, 1.0, into=target, worker="b")
    scraped(10.0, 10.0, 10.0, name="n", into=target, worker="a")
    scraped(10.0, 10.0, 10.0, name="n", into=target, worker="b")
    measured = Utilisation(M, N).measure(target, 60.0, 20.0)
    assert (measured.value, measured.basis) == (0.5, "10 of 20")


def test_utilisation_of_bytes_is_told_in_units_that_people_read() -> None:
    used, limit = Selector("m_bytes"), Selector("n_bytes")
    target = TargetSeries({used.name: 1e6, limit.name: 1e6})
    target.remember(0.0, [Sample(used.name, (), 458_293_248.0), Sample(limit.name, (), 536_870_912.0)])
    measured = Utilisation(used, limit).measure(target, 60.0, 10.0)
    assert measured.basis == "437 MiB of 512 MiB"


@pytest.mark.parametrize("capacity", [(), (0.0, 0.0)])
def test_utilisation_of_no_capacity_is_no_value(capacity: tuple[float, ...]) -> None:
    target = scraped(*capacity, name="n", into=scraped(3.0, 3.0))
    assert Utilisation(M, N).measure(target, 60.0, 10.0).value is None


def test_rate_is_per_its_own_unit() -> None:
    measured = Rate(M, per=60.0).measure(scraped(0.0, 20.0, 40.0), 20.0, 20.0)
    assert measured.value == pytest.approx(120.0)
    assert (measured.samples, measured.basis) == (3, "40 events")


def test_rate_is_the_sum_of_all_reasons_and_survives_a_restart() -> None:
    target = scraped(100.0, 110.0, 0.0, 10.0, reason="wrong password")
    scraped(0.0, 0.0, 0.0, 0.0, into=target, reason="locked")
    assert Rate(M, per=60.0).measure(target, 30.0, 30.0).value == pytest.approx(40.0)


def test_one_scrape_is_no_rate_yet() -> None:
    assert Rate(M, per=60.0).measure(scraped(500.0), 300.0, 10.0) == ABSENT


def test_total_is_there_at_the_first_scrape_and_adds_up_all_kinds() -> None:
    target = scraped(2.0, kind="open")
    scraped(1.0, into=target, kind="tempfile")
    measured = Total(M).measure(target, 120.0, 0.0)
    assert (measured.value, measured.samples, measured.basis) == (3.0, 2, "3 since the target started, seen")


def test_total_ends_with_the_process_that_counted() -> None:
    target = scraped(0.0, 2.0, 2.0, 0.0, 0.0)
    assert Total(M).measure(target, 120.0, 20.0).value == 2.0
    assert Total(M).measure(target, 120.0, 30.0).value == 0.0


def test_availability_is_the_share_of_good_probes() -> None:
    measured = Availability(M).measure(probes([True, True, False, True]), 30.0, 30.0)
    assert (measured.value, measured.samples, measured.basis) == (0.75, 4, "4 probes")


@pytest.mark.parametrize(
    ("bad", "burn", "alertable"),
    [
        pytest.param(range(0), 0.0, False, id="all good"),
        pytest.param(range(358, 361), 3 / 361, False, id="too few failures"),
        pytest.param(range(357, 361), 4 / 361, True, id="just enough of them"),
        pytest.param(range(361), 1.0, True, id="all bad"),
        pytest.param(range(100), 0.0, True, id="over: the short window is clean"),
        pytest.param(range(351, 361), 10 / 361, True, id="the long window burns less than the short one"),
        pytest.param(range(100, 340), 10 / 31, True, id="the short window burns less than the long one"),
    ],
)
def test_burn_rate(bad: range, burn: float, alertable: bool) -> None:
    """An hour of probes, one every 10 s, of which those in `bad` failed; 1 of 1000 may fail."""
    measured = BURN.measure(probes(number not in bad for number in range(361)), 3600.0, 3600.0)
    assert measured.value == pytest.approx(burn * 1000)
    assert measured.alertable is alertable
    assert measured.basis == f"{len(bad)} of 361 probes failed"


def test_a_burn_rate_is_never_below_zero() -> None:
    """In Prometheus a probe may be good before it is counted; the agent says the same of a like series."""
    target = scraped(*[1.0] * 360, 2.0)
    assert BURN.measure(target, 3600.0, 3600.0).value == 0.0
    value = BURN.promql(3600.0, lambda name, _: {"good": "5", "probes": "4"}.get(name, "4")).value
    assert value.count("clamp_min(1 - ") == 4
    assert "clamp_min(1 - 5 / 4, 0) / (1 - 0.999)" in value


def test_burn_rate_lingers_as_long_as_its_short_window() -> None:
    assert BURN.lingers == 300.0
    assert Gauge(M).lingers == 0.0


def test_busy_is_what_is_used_of_what_there_is() -> None:
    target = scraped(0.0, 15.0, 30.0)
    scraped(2.0, 2.0, 2.0, name="n", into=target)
    measured = Busy(M, N).measure(target, 20.0, 20.0)
    assert (measured.value, measured.samples, measured.basis) == (0.75, 3, "1.5 of 2")


def test_busy_without_a_capacity_is_absent_and_of_none_has_no_value() -> None:
    assert Busy(M, N).measure(scraped(0.0, 15.0), 20.0, 20.0) == ABSENT
    target = scraped(0.0, 0.0, name="n", into=scraped(0.0, 15.0))
    assert Busy(M, N).measure(target, 20.0, 20.0).value is None
