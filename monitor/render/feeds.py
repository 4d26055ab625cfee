"""Made-up series on which an SLI breaks its objective, or nearly does: input for the unit tests of its rules.

A feed is a function and an entry in FEEDS: from the SLI, the value that it shall have and the seconds between
two scrapes to the series.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from monitor.objectives import Objective
from monitor.selector import Matcher, Selector
from monitor.slis import (
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

TARGET = "api"
PER_SCRAPE = 60.0
"""Events of a busy target from one scrape to the next."""
CAPACITY = 100.0


class Run(NamedTuple):
    """Samples in a row: the first, what each adds to the one before, and how many there are."""

    start: float
    step: float
    length: int

    @property
    def text(self) -> str:
        """In promtool's notation, where the number behind the x counts what follows the first."""
        if self.length == 1:
            return f"{self.start:.12g}"
        return f"{self.start:.12g}+{self.step:.12g}x{self.length - 1}"


class Line(NamedTuple):
    """A series without end: `start`, and what each scrape adds to it."""

    selector: Selector
    labels: dict[str, str]
    start: float
    step: float


Feed = Callable[[Any, float, float], Iterator[Line]]


def example(selector: Selector, **pairs: str) -> tuple[Selector, dict[str, str]]:
    """Labels of a series that the selector accepts."""
    bound = (each for each in selector.matchers if each.operator in ("=", "=~"))
    return selector, {"target": TARGET} | {each.label: _accepted(each) for each in bound} | pairs


def _accepted(matcher: Matcher) -> str:
    """Of a pattern its first alternative, with zeros for dots: `5..` accepts 500."""
    if matcher.operator == "=":
        return matcher.value
    text = matcher.value.split("|")[0].replace(".", "0")
    if not re.fullmatch(matcher.value, text):
        raise ValueError(f"no example is known for {matcher}: teach it to monitor/render/feeds.py")
    return text


def _gauge(sli: Gauge | GaugeQuantile, value: float, _every: float) -> Iterator[Line]:
    yield Line(*example(sli.metric), value, 0)


def _quantile(sli: Quantile, value: float, _every: float) -> Iterator[Line]:
    """All requests in one bucket, whose edges are where interpolation gives the value."""
    lower = value / 2
    upper = lower + (value - lower) / sli.q
    for le, step in ((f"{lower:.9g}", 0.0), (f"{upper:.9g}", PER_SCRAPE), ("+Inf", PER_SCRAPE)):
        yield Line(*example(sli.reads[0], le=le), 0, step)


def _ratio(sli: Ratio, value: float, _every: float) -> Iterator[Line]:
    good = {each.label: "200" for each in sli.bad.matchers if each.label == "status"}
    yield Line(*example(sli.bad), 0, value * PER_SCRAPE)
    yield Line(*example(sli.total, **good), 0, (1 - value) * PER_SCRAPE)


def _utilisation(sli: Utilisation, value: float, _every: float) -> Iterator[Line]:
    yield Line(*example(sli.used), value * CAPACITY, 0)
    yield Line(*example(sli.capacity), CAPACITY, 0)


def _busy(sli: Busy, value: float, every: float) -> Iterator[Line]:
    yield Line(*example(sli.counter), 0, value * every)
    yield Line(*example(sli.capacity), 1, 0)


def _rate(sli: Rate, value: float, every: float) -> Iterator[Line]:
    yield Line(*example(sli.counter), 0, value * every / sli.per)


def _total(sli: Total, value: float, _every: float) -> Iterator[Line]:
    yield Line(*example(sli.counter), value, 0)


FEEDS: dict[type[Sli], Feed] = {
    Busy: _busy,
    Gauge: _gauge,
    GaugeQuantile: _gauge,
    Quantile: _quantile,
    Rate: _rate,
    Ratio: _ratio,
    Total: _total,
    Utilisation: _utilisation,
}


class Outage(NamedTuple):
    """What SLIs about probes are broken by: successes, then failures, then successes to the end."""

    good: int
    failed: int


def outage(objective: Objective, every: float, *, bad: bool) -> Outage:
    """As many failures as it takes until it fires, or one less than it takes at all."""
    sli, good = objective.sli, objective.minimum_samples
    if not isinstance(sli, BurnRate):
        raise TypeError(f"{type(sli).__name__} has neither a feed nor an outage: add one to FEEDS")
    share = objective.breach.value * (1 - sli.slo)
    if not bad:
        return Outage(good, max(math.ceil(share * good), sli.minimum_failures) - 1)
    until_it_fires = good + (objective.for_ + sli.short_window / 2) / every
    return Outage(good, max(math.floor(share * until_it_fires) + 1, sli.minimum_failures))
