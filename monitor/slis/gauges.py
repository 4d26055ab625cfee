"""SLIs from gauges: what stands now, and how full something is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from monitor.expressions import BY, Part, Promql, aggregated, number, over, ranged, summed
from monitor.promql import max_over_time, quantile_over_time
from monitor.quantity import Share, format_bytes
from monitor.selector import Selector, SelectorField
from monitor.series import TargetSeries
from monitor.slis.base import ABSENT, Measurement, in_window, rank, value_or_none


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
        values = in_window(series.select(self.metric), window, now)
        if not values:
            return ABSENT
        newest = max_over_time([each[-1] for each in values])
        return Measurement(value_or_none(newest), sum(map(len, values)), "newest value")

    def promql(self, window: float, _part: Part) -> Promql:
        newest = aggregated("max", over("last_over_time", self.metric, window))
        return Promql(newest, summed("count_over_time", self.metric, window))


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
        values = in_window(series.select(self.metric), window, now)
        if not values:
            return ABSENT
        worst = max_over_time([quantile_over_time(self.q, each) for each in values])
        samples = sum(map(len, values))
        newest = value_or_none(max_over_time([each[-1] for each in values]))
        return Measurement(
            value_or_none(worst), samples, f"{rank(self.q)} of {samples} samples", newest=newest
        )

    def promql(self, window: float, _part: Part) -> Promql:
        ranked = f"quantile_over_time({number(self.q)}, {ranged(self.metric, window)})"
        return Promql(aggregated("max", ranked), summed("count_over_time", self.metric, window))


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
        used = in_window(series.select(self.used), window, now)
        capacity = in_window(series.select(self.capacity), window, now)
        if not used or not capacity:
            return ABSENT
        most_used, most_there = sum(map(max_over_time, used)), sum(map(max_over_time, capacity))
        value = value_or_none(most_used / most_there) if most_there else None
        return Measurement(
            value, sum(map(len, used)), f"{self._shown(most_used)} of {self._shown(most_there)}"
        )

    def _shown(self, amount: float) -> str:
        """Prometheus' names end with the unit: https://prometheus.io/docs/practices/naming/"""
        of_bytes = self.used.name.endswith("_bytes") and math.isfinite(amount)
        return format_bytes(amount) if of_bytes else f"{amount:,.0f}"

    def promql(self, window: float, part: Part) -> Promql:
        used = part("used", summed("max_over_time", self.used, window))
        capacity = part("capacity", summed("max_over_time", self.capacity, window))
        samples = f"{summed('count_over_time', self.used, window)} and on ({BY}) {capacity}"
        return Promql(f"{used} / ({capacity} != 0)", samples)
