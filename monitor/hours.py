"""Business hours: when a receiver wants to hear of what can wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from monitor.localtime import instant, local
from monitor.maintenance import Span
from monitor.objectives import Severity
from monitor.timefields import DAY, MINUTES_OF_A_DAY, WEEK


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

    def _around(self, now: float) -> Iterator[Span]:
        """Through tomorrow: a clock that is set back over midnight shows yesterday again."""
        today = local(now, self.zone).date()
        for offset in (-1, 0, 1):
            day = today + offset * DAY
            if day.weekday() in self.days:
                midnight = datetime.combine(day, datetime.min.time())
                over = 0 if self.closes > self.opens else 1
                opens = midnight + self.opens * (DAY / MINUTES_OF_A_DAY)
                closes = midnight + over * DAY + self.closes * (DAY / MINUTES_OF_A_DAY)
                yield Span(instant(opens, self.zone), instant(closes, self.zone))
