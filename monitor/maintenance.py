"""Maintenance windows: once, or each week at a time of the clock on the wall there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import NamedTuple

from monitor.localtime import instant, local

LONGEST_MAINTENANCE = 7 * 86400.0
MOST_MAINTENANCE = 200
"""That was entered by hand and has not ended yet."""
WEEK = frozenset(range(7))
DAY = timedelta(days=1)


class Span(NamedTuple):
    """In seconds since the epoch; `end` is the first moment after it."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class OneOff:
    """No targets: all of them, but not the agent itself. `id` is None for those of the configuration."""

    reason: str
    start: float
    end: float
    targets: tuple[str, ...] = ()
    zone: tzinfo | None = None
    author: str = ""
    id: int | None = None

    def during(self, now: float) -> Span | None:
        return Span(self.start, self.end) if self.start <= now < self.end else None

    def upcoming(self, now: float) -> Span | None:
        """The window that is open or comes next."""
        return Span(self.start, self.end) if now < self.end else None


@dataclass(frozen=True, slots=True)
class Weekly:
    """On each of `days` (0 is Monday) when the clock in `zone` shows `at`, for `lasts` seconds.

    Where a change of clocks leaves that time out it begins with the change; where the time comes twice it
    begins with the first; and it always lasts as long.
    """

    reason: str
    days: frozenset[int]
    at: time
    lasts: float
    zone: tzinfo
    targets: tuple[str, ...] = ()

    def during(self, now: float) -> Span | None:
        """The open window that ends last."""
        found = (span for span in self._around(now, 0) if span.start <= now < span.end)
        return max(found, key=lambda span: span.end, default=None)

    def upcoming(self, now: float) -> Span | None:
        """The window that is open or comes next."""
        return self.during(now) or next(span for span in self._around(now, 9) if span.start > now)

    def _around(self, now: float, days_ahead: int) -> Iterator[Span]:
        """One day more at each end: clocks that are set back over midnight, and days left out."""
        day = local(now - self.lasts, self.zone).date() - DAY
        last = local(now, self.zone).date() + DAY * (days_ahead + 1)
        while day <= last:
            if day.weekday() in self.days:
                start = instant(datetime.combine(day, self.at), self.zone)
                yield Span(start, start + self.lasts)
            day += DAY


Window = OneOff | Weekly
