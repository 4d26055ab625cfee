"""The kinds of service level indicator: each computes one number from a target's series over a window.

A kind is a frozen dataclass whose fields are its YAML parameters, and an entry in SLI_KINDS. `measure` says
what Prometheus would say, so that the same definition can be written as a PromQL expression.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple, Protocol

from pydantic import Field

from monitor.promql import (
    avg_over_time,
    histogram_quantile,
    max_over_time,
    quantile_over_time,
    rate,
)
from monitor.quantity import Seconds, Share
from monitor.selector import Selector, SelectorField
from monitor.series import Series, TargetSeries


class Measurement(NamedTuple):
    """`value` is None when there is nothing to compute it from; `samples` counts what it rests on.

    `basis` says in words what that is. `alertable` is False while too few events stand behind a bad value.
    """

    value: float | None
    samples: int
    basis: str
    alertable: bool = True
    present: bool = True


class Sli(Protocol):
    units: ClassVar[frozenset[str]]

    @property
    def reads(self) -> tuple[Selector, ...]:
        """The series that `measure` selects."""

    @property
    def lingers(self) -> float:
        """Seconds for which a fault that is over still shows in the value."""

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement: ...


ABSENT = Measurement(None, 0, "no such series", present=False)


@dataclass(frozen=True, slots=True)
class Gauge:
    """The newest value of a gauge within the window; the largest, where several series match."""

    metric: SelectorField

    units: ClassVar[frozenset[str]] = frozenset({"number", "seconds", "ratio"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.metric,)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        values = _in_window(series.select(self.metric), window, now)
        if not values:
            return ABSENT
        newest = max_over_time([each[-1] for each in values])
        return Measurement(_number(newest), sum(map(len, values)), "newest value")


@dataclass(frozen=True, slots=True)
class GaugeQuantile:
    """The q-quantile of a gauge's samples within the window."""

    metric: SelectorField
    q: Share

    units: ClassVar[frozenset[str]] = frozenset({"number", "seconds", "ratio"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.metric,)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        values = _in_window(series.select(self.metric), window, now)
        if not values:
            return ABSENT
        worst = max_over_time([quantile_over_time(self.q, each) for each in values])
        samples = sum(map(len, values))
        return Measurement(_number(worst), samples, f"{_rank(self.q)} of {samples} samples")


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
            bound = _bound(each.labels.get("le", ""))
            if increase is not None and bound is not None:
                buckets[bound] = buckets.get(bound, 0.0) + increase
        if not buckets:
            return ABSENT
        requests = _count(max(buckets.values()) * window)
        value = histogram_quantile(self.q, buckets)
        return Measurement(_number(value), requests, f"{_rank(self.q)} of {requests} requests")


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
        total = _rate_of(series.select(self.total), window, now)
        if total is None:
            return ABSENT
        bad = _rate_of(series.select(self.bad), window, now) or 0.0
        requests = _count(total * window)
        basis = f"{_count(bad * window)} of {requests} requests"
        return Measurement(_number(bad / total) if total else None, requests, basis)


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How much of a capacity is used: the highest use within the window over the highest capacity."""

    used: SelectorField
    capacity: SelectorField

    units: ClassVar[frozenset[str]] = frozenset({"ratio"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.used, self.capacity)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        used = _in_window(series.select(self.used), window, now)
        capacity = _in_window(series.select(self.capacity), window, now)
        if not used or not capacity:
            return ABSENT
        most_used, most_there = sum(map(max_over_time, used)), sum(map(max_over_time, capacity))
        value = _number(most_used / most_there) if most_there else None
        return Measurement(value, sum(map(len, used)), f"{most_used:,.0f} of {most_there:,.0f}")


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
        per_second = _rate_of(matching, window, now)
        if per_second is None:
            return ABSENT
        samples = max(len(each.between(now - window, now)[0]) for each in matching)
        return Measurement(_number(per_second * self.per), samples, f"{_count(per_second * window)} events")


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
        values = _in_window(series.select(self.counter), window, now)
        if not values:
            return ABSENT
        total = sum(each[-1] for each in values)
        basis = f"{_count(total)} since the target started, seen"
        return Measurement(_number(total), sum(map(len, values)), basis)


@dataclass(frozen=True, slots=True)
class Availability:
    """The share of probes that succeeded within the window."""

    metric: SelectorField

    units: ClassVar[frozenset[str]] = frozenset({"ratio"})
    lingers: ClassVar[float] = 0.0

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.metric,)

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        values = _in_window(series.select(self.metric), window, now)
        if not values:
            return ABSENT
        probes = sum(map(len, values))
        return Measurement(_number(sum(map(sum, values)) / probes), probes, f"{probes} probes")


@dataclass(frozen=True, slots=True)
class BurnRate:
    """How fast the error budget goes, as a multiple of the rate that spends it just by the end of its period.

    The lower of the burn over the long window (enough has been spent to matter) and over the short one (it is
    still being spent). Google SRE Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
    """

    metric: SelectorField
    slo: Annotated[Share, Field(lt=1)]
    short_window: Seconds
    minimum_failures: Annotated[int, Field(strict=True, ge=1)]

    units: ClassVar[frozenset[str]] = frozenset({"number"})

    @property
    def reads(self) -> tuple[Selector, ...]:
        return (self.metric,)

    @property
    def lingers(self) -> float:
        return self.short_window

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement:
        matching = list(series.select(self.metric))
        long = [value for each in _in_window(matching, window, now) for value in each]
        short = [value for each in _in_window(matching, self.short_window, now) for value in each]
        if not long or not short:
            return ABSENT
        burn = min(1 - avg_over_time(long), 1 - avg_over_time(short)) / (1 - self.slo)
        failures = sum(value < 1 for value in long)
        basis = f"{failures} of {len(long)} probes failed"
        return Measurement(_number(burn), len(long), basis, alertable=failures >= self.minimum_failures)


SLI_KINDS: dict[str, type[Sli]] = {
    "availability": Availability,
    "burn_rate": BurnRate,
    "gauge": Gauge,
    "gauge_quantile": GaugeQuantile,
    "quantile": Quantile,
    "rate": Rate,
    "ratio": Ratio,
    "total": Total,
    "utilisation": Utilisation,
}


def _in_window(series: Iterable[Series], window: float, now: float) -> list[list[float]]:
    found = (each.between(now - window, now)[1] for each in series)
    return [list(values) for values in found if values]


def _rate_of(series: Iterable[Series], window: float, now: float) -> float | None:
    """The summed rate of all series that have one; None when none has."""
    rates = [rate(each.between(now - window, now), now - window, now) for each in series]
    known = [each for each in rates if each is not None]
    return sum(known) if known else None


def _bound(le: str) -> float | None:
    """A bucket's upper edge; None for a series that is no bucket, as PromQL passes over those."""
    try:
        bound = float(le)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def _count(events: float) -> int:
    """0 for what a broken counter (NaN, infinite) leads to: nothing that a verdict could rest on."""
    return round(events) if math.isfinite(events) else 0


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _rank(q: float) -> str:
    return "median" if q == 0.5 else f"p{q * 100:g}"
