"""SLIs from probe results, 1 for a success and 0 for a failure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from monitor.expressions import BY, Part, Promql, number, summed
from monitor.quantity import Seconds, Share
from monitor.selector import Selector, SelectorField
from monitor.series import Series, TargetSeries
from monitor.slis.base import ABSENT, Measurement, value_or_none, whole


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
        probes, good = _total(series.select(self.metric), window, now)
        if not probes:
            return ABSENT
        return Measurement(value_or_none(good / probes), probes, f"{probes} probes")

    def promql(self, window: float, part: Part) -> Promql:
        good = part("good", summed("sum_over_time", self.metric, window))
        probes = part("probes", summed("count_over_time", self.metric, window))
        return Promql(f"{good} / {probes}", probes)


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
        probes, good = _total(matching, window, now)
        probes_lately, good_lately = _total(matching, self.short_window, now)
        if not probes or not probes_lately:
            return ABSENT
        failures = probes - good
        burns = self._burn(probes, good), self._burn(probes_lately, good_lately)
        burn = math.nan if any(map(math.isnan, burns)) else min(burns)
        basis = f"{whole(failures)} of {probes} probes failed"
        return Measurement(value_or_none(burn), probes, basis, alertable=failures >= self.minimum_failures)

    def _burn(self, probes: int, good: float) -> float:
        spent = 1 - good / probes
        return 0.0 if spent < 0 else spent / (1 - self.slo)

    def promql(self, window: float, part: Part) -> Promql:
        probes = part("probes", summed("count_over_time", self.metric, window))
        good = part("good", summed("sum_over_time", self.metric, window))
        probes_lately = part("probes_lately", summed("count_over_time", self.metric, self.short_window))
        good_lately = part("good_lately", summed("sum_over_time", self.metric, self.short_window))
        budget = f"(1 - {number(self.slo)})"
        # Two rules are two looks: what is scraped between them is good, and not yet a probe.
        long = f"clamp_min(1 - {good} / {probes}, 0) / {budget}"
        short = f"clamp_min(1 - {good_lately} / {probes_lately}, 0) / {budget}"
        lower = f"({long} <= {short}) or ({short} <= {long})"
        both = f"{probes} and on ({BY}) {probes_lately}"
        return Promql(lower, both, f"{probes} - {good} >= {self.minimum_failures}")


def _total(series: Iterable[Series], window: float, now: float) -> tuple[int, float]:
    """How many probes there were, and how many of them succeeded."""
    totals = [each.total(now - window, now) for each in series]
    return sum(count for count, _ in totals), sum(good for _, good in totals)
