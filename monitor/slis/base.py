"""What every kind of SLI is, and what several of them compute alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Protocol

from monitor.expressions import Part, Promql, number
from monitor.promql import rate
from monitor.selector import Selector
from monitor.series import Series, TargetSeries


class Measurement(NamedTuple):
    """`value` is None when there is nothing to compute it from; `samples` counts what it rests on.

    `basis` says in words what that is. `alertable` is False while too few events stand behind a bad value.
    `newest` is the last of many that the value is drawn from: bad alone, it is worth a warning.
    """

    value: float | None
    samples: int
    basis: str
    alertable: bool = True
    present: bool = True
    newest: float | None = None


class Sli(Protocol):
    units: ClassVar[frozenset[str]]

    @property
    def reads(self) -> tuple[Selector, ...]:
        """The series that `measure` selects."""

    @property
    def lingers(self) -> float:
        """Seconds for which a fault that is over still shows in the value."""

    def measure(self, series: TargetSeries, window: float, now: float) -> Measurement: ...

    def promql(self, window: float, part: Part, /) -> Promql: ...


ABSENT = Measurement(None, 0, "no such series", present=False)


def in_window(series: Iterable[Series], window: float, now: float) -> list[list[float]]:
    found = (each.between(now - window, now)[1] for each in series)
    return [list(values) for values in found if values]


def rate_of(series: Iterable[Series], window: float, now: float) -> float | None:
    """The summed rate of all series that have one; None when none has."""
    rates = [rate(each.between(now - window, now), now - window, now) for each in series]
    known = [each for each in rates if each is not None]
    return sum(known) if known else None


def bucket_bound(le: str) -> float | None:
    """A bucket's upper edge; None for a series that is no bucket, as PromQL passes over those."""
    try:
        bound = float(le)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def whole(events: float) -> int:
    """0 for what a broken counter (NaN, infinite) leads to: nothing that a verdict could rest on."""
    return math.floor(events + 0.5) if math.isfinite(events) else 0


def whole_events(per_second: str, window: float) -> str:
    """`whole` in PromQL, whose round() rounds halves up too."""
    return f"round({number(window)} * {per_second})"


def value_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def rank(q: float) -> str:
    return "median" if q == 0.5 else f"p{q * 100:g}"
