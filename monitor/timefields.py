"""Days, times, zones and moments, as people write them.

As in monitor/fields.py, each function returns what the program uses, or raises ValueError with a cure.
"""

from __future__ import annotations

import difflib
import re
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, PlainValidator

from monitor.localtime import instant, local
from monitor.mistakes import shown

WEEK = frozenset(range(7))
DAY = timedelta(days=1)
MINUTES_OF_A_DAY = 24 * 60
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MOMENT = re.compile(r"(20\d\d-\d\d-\d\d)[ T](\d\d:\d\d)(?::00)? ?(Z|[+-]\d\d:\d\d)?")


def parse_zone(written: object) -> ZoneInfo:
    text = written if isinstance(written, str) else ""
    try:
        return ZoneInfo(text)
    except (ValueError, KeyError, OSError):
        close = difflib.get_close_matches(text, available_timezones(), n=1)
        cure = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"expected a time zone such as Europe/Zurich or UTC, got {shown(written)}{cure}"
        ) from None


def parse_days(written: object) -> frozenset[int]:
    """Days of the week, 0 is Monday, from `Mon-Fri`, `Sat, Sun`, `Tuesday` or a list of such."""
    listed = written if isinstance(written, list) else str(written).split(",")
    found = [_days(each) if isinstance(each, str) else None for each in listed]
    if not found or None in found:
        raise ValueError(f"expected days such as Mon-Fri, or Sat, Sun, got {shown(written)}")
    return frozenset[int]().union(*filter(None, found))


def _days(text: str) -> frozenset[int] | None:
    """Also over the week's end: Sat-Mon."""
    ends = [_weekday(each) for each in text.split("-")]
    first, last = ends[0], ends[-1]
    if first is None or last is None or len(ends) > 2:
        return None
    return frozenset((first + number) % 7 for number in range((last - first) % 7 + 1))


def _weekday(text: str) -> int | None:
    name = text.strip().lower()
    found = (number for number, day in enumerate(_DAYS) if name in (day, day[:3], day[:2]))
    return next(found, None)


def days_text(days: frozenset[int]) -> str:
    """`Mon-Fri`, `Sat, Sun` or `every day`."""
    if days == WEEK:
        return "every day"
    names = [_DAYS[day][:3].capitalize() for day in sorted(days)]
    in_a_row = max(days) - min(days) + 1 == len(days) > 2
    return f"{names[0]}-{names[-1]}" if in_a_row else ", ".join(names)


def parse_time(written: object) -> time:
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(written))
    if match is None:
        raise ValueError(f"expected a time such as 08:00, got {shown(written)}")
    return time(int(match[1]), int(match[2]))


def parse_minute(written: object) -> int:
    """Minutes since midnight, from `08:00`; `24:00` is the end of the day."""
    if str(written) == "24:00":
        return MINUTES_OF_A_DAY
    found = parse_time(written)
    return found.hour * 60 + found.minute


def parse_every(written: object) -> tuple[frozenset[int], time]:
    """Days of the week and the time, from `Sunday 02:00`, `Mon-Fri 22:30` or `day 02:00`."""
    days, _, at = str(written).strip().rpartition(" ")
    try:
        return WEEK if days.lower() == "day" else parse_days(days), parse_time(at)
    except ValueError:
        raise ValueError(
            f"expected days and a time such as Sunday 02:00 or day 02:00, got {shown(written)}"
        ) from None


def parse_moment(written: object, zone: tzinfo | None) -> float:
    """Seconds since the epoch, from `2026-12-01 22:00` in the zone or `2026-12-01 22:00+01:00` in its own."""
    try:
        found = datetime.fromisoformat("".join(_parts(written)))
    except ValueError:
        raise ValueError(
            f"expected a moment such as 2026-12-01 22:00 or 2026-12-01 22:00+01:00, got {shown(written)}"
        ) from None
    return found.timestamp() if found.tzinfo else instant(found, zone)


def has_offset(written: object) -> bool:
    return bool(_parts(written)[2])


def _parts(written: object) -> tuple[str, str, str]:
    """Date, time and offset; empty ones when it is no moment."""
    match = _MOMENT.fullmatch(str(written).strip())
    return (f"{match[1]}T", match[2], match[3] or "") if match else ("", "", "")


def parse_when(text: str, now: float, zone: tzinfo | None) -> float:
    """Seconds since the epoch, from a moment or the next `06:00`, `tomorrow 06:00` or `Mon 08:00`."""
    words, today = text.strip().lower().split(), local(now, zone).date()
    if words and re.match(r"\d{4}-", words[0]):
        return parse_moment(text, zone)
    day, at = words[0] if len(words) == 2 else "", words[-1] if len(words) in (1, 2) else ""
    try:
        found = [instant(datetime.combine(each, parse_time(at)), zone) for each in _meant(day, today)]
    except ValueError:
        found = []
    ahead = [each for each in found if each > now]
    if not ahead:
        raise ValueError(
            "expected a time to come, such as 06:00, tomorrow 06:00, Mon 08:00 or 2026-12-01 22:00, "
            f"got {shown(text)}"
        )
    return ahead[0]


def _meant(day: str, today: date) -> list[date]:
    ahead = [today + DAY * number for number in range(9)]
    if day in ("", "today", "tomorrow"):
        return {"": ahead[:3], "today": ahead[:1], "tomorrow": ahead[1:2]}[day]
    return [each for each in ahead if each.weekday() == _weekday(day)]


Zone = Annotated[ZoneInfo, PlainValidator(parse_zone)]
Days = Annotated[frozenset[int], PlainValidator(parse_days)]
MinuteOfDay = Annotated[int, BeforeValidator(parse_minute)]
Every = Annotated[tuple[frozenset[int], time], PlainValidator(parse_every)]
