"""Maintenance windows: once, or each week at a time of the clock on the wall there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, tzinfo
from typing import NamedTuple

from monitor.asking import LONGEST_AUTHOR, LONGEST_REASON, RefusedError, check_targets, checked_text
from monitor.localtime import instant, local
from monitor.quantity import format_duration
from monitor.timefields import DAY

MOST_TARGETS = 100
SHORTEST = 60.0
LONGEST_WEEKLY = 7 * 86400.0
LONGEST_ONCE = 30 * 86400.0
MOST_MAINTENANCE = 200
"""That was entered by hand and has not ended yet."""


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
        """Through tomorrow: a clock that is set back over midnight shows yesterday again."""
        day = local(now - self.lasts, self.zone).date()
        last = local(now, self.zone).date() + DAY * (days_ahead + 1)
        while day <= last:
            if day.weekday() in self.days:
                start = instant(datetime.combine(day, self.at), self.zone)
                yield Span(start, start + self.lasts)
            day += DAY


Window = OneOff | Weekly


def checked_window(asked: OneOff, targets: Iterable[str], now: float) -> OneOff:
    """Raises RefusedError."""
    check_targets(asked.targets, targets)
    if len(asked.targets) > MOST_TARGETS:
        raise RefusedError("target", f"expected at most {MOST_TARGETS} targets; `*` and `?` stand for any")
    if not asked.end > max(now, asked.start):
        raise RefusedError("end", "expected a time to come, after it starts")
    if not SHORTEST <= asked.end - asked.start <= LONGEST_ONCE:
        raise RefusedError("end", wrong_length(asked.end - asked.start, LONGEST_ONCE))
    return replace(
        asked,
        author=checked_text("author", asked.author, LONGEST_AUTHOR),
        reason=checked_text("reason", asked.reason, LONGEST_REASON),
    )


def wrong_length(seconds: float, longest: float) -> str:
    limits = f"{format_duration(SHORTEST)} to {format_duration(longest)}"
    return f"expected {limits}, got {format_duration(seconds)}"
