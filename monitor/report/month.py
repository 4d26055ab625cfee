"""A calendar month, from its first midnight in UTC to that of the next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Month:
    year: int
    number: int

    @property
    def since(self) -> float:
        return datetime(self.year, self.number, 1, tzinfo=UTC).timestamp()

    @property
    def until(self) -> float:
        return self.next.since

    @property
    def next(self) -> Month:
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def title(self) -> str:
        return datetime(self.year, self.number, 1, tzinfo=UTC).strftime("%B %Y")

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


def parse_month(written: str) -> Month:
    """ValueError with a cure for what is no month."""
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})", written.strip())
    if match is None or not 1970 <= int(match[1]) <= 9998 or not 1 <= int(match[2]) <= 12:
        raise ValueError(f"expected a month such as 2026-10, got {written!r}")
    return Month(int(match[1]), int(match[2]))


def month_before(now: float) -> Month:
    """The last one that is over."""
    today = datetime.fromtimestamp(now, UTC)
    return Month(today.year - 1, 12) if today.month == 1 else Month(today.year, today.month - 1)
