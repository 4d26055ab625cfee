"""SLIs from counters and histograms: how many, how fast, what share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from monitor.expressions import BY, Part, Promql, aggregated, number, over, summed
from monitor.promql import histogram_quantile, max_over_time, rate
from monitor.quantity import Seconds, Share
from monitor.selector import Selector, SelectorField
from monitor.series import TargetSeries
from monitor.slis.base import (
    ABSENT,
    Measurement,
    bucket_bound,
    in_window,
    rank,
    rate_of,
    value_or_none,
    whole,
    whole_events,
)


@dataclass(frozen=True, slots=True)
class Quantile:
    """The q-quantile of a histogram's observations within the window, over all matching series together."""

    histogram: SelectorField
    q: Share

    units: ClassVar[frozenset[str]] = frozenset({"seconds", "number"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.histogram.named(f"{self.histogram.name}_bucket"),)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        buckets: dict[float, float] = {}
        for each in series.select(self.reads[0]):
            increase = rate(each.between(now - window, now), now - window, now)
            bound = bucket_bound(each.labels.get("le", ""))
            if increase is not None and bound is not None:
                buckets[bound] = buckets.get(bound, 0.0) + increase
        if not buckets:
            return ABSENT
        requests = whole(max(buckets.values()) * window)
        value = histogram_quantile(self.q, buckets)
        return Measurement(value_or_none(value), requests, f"{rank(self.q)} of {requests} requests")

    def promql(self, window: float, part: Part) -> Promql:
        buckets = part("buckets", aggregated("sum", over("rate", self.reads[0], window), "le"))
        requests = whole_events(aggregated("max", buckets), window)
        return Promql(f"histogram_quantile({number(self.q)}, {buckets})", requests)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Bad events as a share of all events within the window, from two sets of counters."""

    bad: SelectorField
    total: SelectorField

    units: ClassVar[frozenset[str]] = frozenset({"ratio"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.bad, self.total)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        total = rate_of(series.select(self.total), window, now)
        if total is None:
            return ABSENT
        bad = rate_of(series.select(self.bad), window, now) or 0.0
        requests = whole(total * window)
        basis = f"{whole(bad * window)} of {requests} requests"
        return Measurement(value_or_none(bad / total) if total else None, requests, basis)

    def promql(self, window: float, part: Part) -> Promql:
        """Without a single bad event yet there may be no series of them: that is 0, and not nothing."""
        rates = summed("rate", self.total, window)
        total = part("total", rates)
        bad = part("bad", f"{summed('rate', self.bad, window)} or 0 * {rates}")
        return Promql(f"{bad} / ({total} != 0)", whole_events(total, window))


@dataclass(frozen=True, slots=True)
class Rate:
    """Events per `per` (a duration), from counters."""

    counter: SelectorField
    per: Annotated[Seconds, Field(gt=0)]

    units: ClassVar[frozenset[str]] = frozenset({"per_minute", "number"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.counter,)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        matching = list(series.select(self.counter))
        per_second = rate_of(matching, window, now)
        if per_second is None:
            return ABSENT
        samples = max(len(each.between(now - window, now)[0]) for each in matching)
        return Measurement(
            value_or_none(per_second * self.per), samples, f"{whole(per_second * window)} events"
        )

    def promql(self, window: float, part: Part) -> Promql:
        rates = part("rate", summed("rate", self.counter, window))
        samples = aggregated("max", over("count_over_time", self.counter, window))
        return Promql(f"{number(self.per)} * {rates}", f"{samples} and on ({BY}) {rates}")


@dataclass(frozen=True, slots=True)
class Total:
    """Events since the target was started, from counters: the sum of the newest values within the window.

    For what must never happen at all. An increase can be missed, by an agent that was away or has just been
    started; a counter above zero is still there when it looks.
    """

    counter: SelectorField

    units: ClassVar[frozenset[str]] = frozenset({"number"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.counter,)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        values = in_window(series.select(self.counter), window, now)
        if not values:
            return ABSENT
        total = sum(each[-1] for each in values)
        basis = f"{whole(total)} since the target started, seen"
        return Measurement(value_or_none(total), sum(map(len, values)), basis)

    def promql(self, window: float, _part: Part) -> Promql:
        newest = summed("last_over_time", self.counter, window)
        return Promql(newest, summed("count_over_time", self.counter, window))


@dataclass(frozen=True, slots=True)
class Busy:
    """How much of a capacity is used, where use is counted up: the rate of a counter over a gauge.

    CPU seconds per second over the cores that may be used.
    """

    counter: SelectorField
    capacity: SelectorField

    units: ClassVar[frozenset[str]] = frozenset({"ratio"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.counter, self.capacity)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        matching = list(series.select(self.counter))
        used = rate_of(matching, window, now)
        capacity = in_window(series.select(self.capacity), window, now)
        if used is None or not capacity:
            return ABSENT
        there = sum(map(max_over_time, capacity))
        samples = max(len(each.between(now - window, now)[0]) for each in matching)
        value = value_or_none(used / there) if there else None
        return Measurement(value, samples, f"{used:.2g} of {there:.3g}")

    def promql(self, window: float, part: Part) -> Promql:
        used = part("used", summed("rate", self.counter, window))
        capacity = part("capacity", summed("max_over_time", self.capacity, window))
        samples = aggregated("max", over("count_over_time", self.counter, window))
        return Promql(
            f"{used} / ({capacity} != 0)", f"{samples} and on ({BY}) {used} and on ({BY}) {capacity}"
        )
