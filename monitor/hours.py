"""Business hours: when a receiver wants to hear of what can wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from monitor.localtime import instant, local
from monitor.maintenance import DAY, WEEK, Span
from monitor.objectives import Severity

MINUTES_OF_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """Open from `opens` to `closes`, in minutes since midnight; when that is not later, the day after.

    Alerts of `severities` wait until it opens, all others don't.
    """

    zone: tzinfo
    days: frozenset[int] = WEEK
    opens: int = 0
    closes: int = MINUTES_OF_A_DAY
    severities: tuple[Severity, ...] = ("ticket", "info")

    def is_open(self, severity: str, now: float) -> bool:
        return severity not in self.severities or any(
            span.start <= now < span.end for span in self._around(now)
        )

    def opens_at(self, now: float) -> float:
        """The next moment at which it opens, in seconds since the epoch."""
        return next(span.start for span in self._around(now) if span.start > now)

    def _around(self, now: float) -> Iterator[Span]:
        today = local(now, self.zone).date()
        for offset in range(-2, 10):
            day = today + offset * DAY
            if day.weekday() in self.days:
                midnight = datetime.combine(day, datetime.min.time())
                over = 0 if self.closes > self.opens else 1
                opens = midnight + self.opens * (DAY / MINUTES_OF_A_DAY)
                closes = midnight + over * DAY + self.closes * (DAY / MINUTES_OF_A_DAY)
                yield Span(instant(opens, self.zone), instant(closes, self.zone))
