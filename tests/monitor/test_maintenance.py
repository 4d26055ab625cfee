"""Windows and hours where clocks change, against somebody who looks at the clock each minute."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.hours import Hours
from monitor.localtime import instant
from monitor.maintenance import OneOff, Span, Weekly
from monitor.timefields import DAY, MINUTES_OF_A_DAY, WEEK

ZURICH, NEW_YORK = ZoneInfo("Europe/Zurich"), ZoneInfo("America/New_York")
LORD_HOWE, APIA, ST_JOHNS = (
    ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Pacific/Apia"),
    ZoneInfo("America/St_Johns"),
)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
HOUR = 3600.0
CHANGES = {
    "Zurich, forward": (ZURICH, datetime(2026, 3, 29, tzinfo=UTC)),
    "Zurich, back": (ZURICH, datetime(2026, 10, 25, tzinfo=UTC)),
    "New York, forward": (NEW_YORK, datetime(2026, 3, 8, tzinfo=UTC)),
    "New York, back": (NEW_YORK, datetime(2026, 11, 1, tzinfo=UTC)),
    "Lord Howe, forward by half an hour": (LORD_HOWE, datetime(2026, 10, 3, tzinfo=UTC)),
    "Lord Howe, back by half an hour": (LORD_HOWE, datetime(2026, 4, 4, tzinfo=UTC)),
    "Apia, a day left out": (APIA, datetime(2011, 12, 30, tzinfo=UTC)),
    "St John's, back over midnight": (ST_JOHNS, datetime(2010, 11, 7, tzinfo=UTC)),
    "no change": (ZURICH, datetime(2026, 6, 7, tzinfo=UTC)),
}


def at(text: str) -> float:
    """In UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def weekly(day: int, clock: str, zone: ZoneInfo, hours: float = 1.0) -> Weekly:
    return Weekly("upgrade", frozenset({day}), time.fromisoformat(clock), hours * HOUR, zone)


@pytest.mark.parametrize(
    ("window", "near", "start"),
    [
        (weekly(SUNDAY, "02:30", ZURICH), "2026-03-29 01:10", "2026-03-29 01:00"),  # 02:00-03:00 is left out
        (weekly(SUNDAY, "02:30", ZURICH), "2026-10-25 00:40", "2026-10-25 00:30"),  # comes twice: the first
        (weekly(SUNDAY, "03:00", ZURICH), "2026-10-25 02:10", "2026-10-25 02:00"),
        (weekly(SUNDAY, "02:15", NEW_YORK), "2026-03-08 07:10", "2026-03-08 07:00"),
        (weekly(SUNDAY, "01:30", NEW_YORK), "2026-11-01 05:40", "2026-11-01 05:30"),
        (weekly(SUNDAY, "02:15", LORD_HOWE), "2026-10-03 15:40", "2026-10-03 15:30"),
        (weekly(SUNDAY, "01:45", LORD_HOWE), "2026-04-04 14:50", "2026-04-04 14:45"),
        (weekly(FRIDAY, "14:00", APIA), "2011-12-30 10:10", "2011-12-30 10:00"),  # no such Friday there
    ],
)
def test_the_hour_that_is_left_out_or_comes_twice(window: Weekly, near: str, start: str) -> None:
    assert window.during(at(near)) == Span(at(start), at(start) + HOUR)


def test_what_comes_twice_happens_once() -> None:
    window = weekly(SUNDAY, "02:30", ZURICH, hours=0.5)
    assert window.during(at("2026-10-25 00:45"))
    assert window.during(at("2026-10-25 01:45")) is None


@pytest.mark.parametrize("begins", ["2026-10-24 21:00", "2026-03-28 22:00"])
def test_a_window_over_a_change_of_clocks_is_as_long_as_ever(begins: str) -> None:
    window = weekly(SATURDAY, "23:00", ZURICH, hours=6)
    assert window.during(at(begins)) == Span(at(begins), at(begins) + 6 * HOUR)
    assert window.during(at(begins) + 6 * HOUR) is None


def test_the_next_window() -> None:
    window = weekly(SUNDAY, "02:30", ZURICH)
    assert window.upcoming(at("2026-03-22 12:00")) == Span(at("2026-03-29 01:00"), at("2026-03-29 02:00"))
    assert window.upcoming(at("2026-03-29 01:59")) == Span(at("2026-03-29 01:00"), at("2026-03-29 02:00"))


def test_a_window_of_a_whole_week_is_always_open() -> None:
    window = weekly(SUNDAY, "00:00", ZURICH, hours=7 * 24)
    assert all(window.during(at("2026-10-20 00:00") + number * HOUR) for number in range(7 * 24))


def test_a_window_that_happens_once() -> None:
    window = OneOff("move", 100.0, 200.0)
    assert [bool(window.during(now)) for now in (99.9, 100.0, 199.9, 200.0)] == [False, True, True, False]
    assert [bool(window.upcoming(now)) for now in (0.0, 199.9, 200.0)] == [True, True, False]


def test_hours_hold_back_only_what_can_wait() -> None:
    hours = Hours(ZURICH, frozenset(range(5)), 8 * 60, 18 * 60)
    saturday, monday = at("2026-11-28 12:00"), at("2026-11-30 07:00")
    assert hours.is_open("page", saturday)
    assert not hours.is_open("ticket", saturday)
    assert not hours.is_open("info", monday - 1)
    assert hours.is_open("info", monday)
    assert not hours.is_open("info", monday + 10 * HOUR)


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    hours = Hours(ZURICH, frozenset({FRIDAY}), 22 * 60, 6 * 60)
    assert hours.is_open("ticket", at("2026-11-28 04:59"))
    assert not hours.is_open("ticket", at("2026-11-28 05:00"))
    assert not hours.is_open("ticket", at("2026-11-27 04:00"))


@cache
def furthest(change: str) -> tuple[float, list[datetime]]:
    """The first minute of twenty-four days, and for each the latest that the clock has shown by then."""
    zone, around = CHANGES[change]
    first = around.timestamp() - 12 * 24 * HOUR
    shown = (
        datetime.fromtimestamp(first + 60.0 * number, zone).replace(tzinfo=None)
        for number in range(24 * MINUTES_OF_A_DAY)
    )
    return first, list(accumulate(shown, max))


def first_reading(change: str, wanted: datetime) -> float:
    """Of that time or a later one."""
    first, shown = furthest(change)
    return first + 60.0 * bisect_left(shown, wanted)


def inner_days(change: str) -> list[datetime]:
    _, around = CHANGES[change]
    return [datetime(around.year, around.month, around.day) + DAY * offset for offset in range(-9, 10)]  # noqa: DTZ001


def looked_at(change: str) -> list[float]:
    """From a day before the change until two days after it."""
    middle = CHANGES[change][1].timestamp()
    return [middle + 420.0 * number + number % 7 * 60 for number in range(-206, 412)]


CHANGE = st.sampled_from(list(CHANGES))
MINUTE = st.integers(0, MINUTES_OF_A_DAY - 1)
DAYS = st.frozensets(st.integers(0, 6), min_size=1)


@settings(max_examples=30, deadline=None)
@given(CHANGE, MINUTE, DAYS, st.integers(1, 7 * MINUTES_OF_A_DAY))
@example("Zurich, forward", 150, WEEK, 1)
@example("Zurich, back", 150, WEEK, 30)
@example("Lord Howe, back by half an hour", 105, WEEK, 30)
@example("St John's, back over midnight", 0, WEEK, 30)
@example("St John's, back over midnight", 1435, WEEK, 60)
@example("Apia, a day left out", 840, frozenset({FRIDAY}), 60)
def test_windows_are_open_when_the_clock_says_so(
    change: str, minute: int, days: frozenset[int], lasts: int
) -> None:
    zone, _ = CHANGES[change]
    window = Weekly("upgrade", days, time(*divmod(minute, 60)), lasts * 60.0, zone)
    starts = [
        first_reading(change, day + timedelta(minutes=minute))
        for day in inner_days(change)
        if day.weekday() in days
    ]
    for now in looked_at(change):
        ends = [start + window.lasts for start in starts if start <= now < start + window.lasts]
        span = window.during(now)
        assert (span.end if span else None) == max(ends, default=None)


@settings(max_examples=30, deadline=None)
@given(CHANGE, MINUTE, st.integers(0, MINUTES_OF_A_DAY), DAYS)
@example("Zurich, back", 120, 150, WEEK)
@example("Zurich, forward", 90, 150, WEEK)
@example("New York, forward", 1380, 150, WEEK)
@example("St John's, back over midnight", 0, 30, WEEK)
@example("Apia, a day left out", 0, MINUTES_OF_A_DAY, frozenset({FRIDAY}))
def test_hours_open_and_close_when_the_clock_says_so(
    change: str, opens: int, closes: int, days: frozenset[int]
) -> None:
    zone, _ = CHANGES[change]
    hours = Hours(zone, days, opens, closes)
    over_midnight = timedelta(days=closes <= opens)
    spans = [
        (
            first_reading(change, day + timedelta(minutes=opens)),
            first_reading(change, day + over_midnight + timedelta(minutes=closes)),
        )
        for day in inner_days(change)
        if day.weekday() in days
    ]
    for now in looked_at(change):
        assert hours.is_open("ticket", now) == any(start <= now < end for start, end in spans)


@settings(max_examples=200, deadline=None)
@given(CHANGE, st.integers(-5 * MINUTES_OF_A_DAY, 5 * MINUTES_OF_A_DAY))
def test_a_time_is_the_first_moment_at_which_the_clock_shows_it_or_a_later_one(
    change: str, offset: int
) -> None:
    zone, around = CHANGES[change]
    wanted = around.replace(tzinfo=None) + timedelta(minutes=offset)
    assert instant(wanted, zone) == first_reading(change, wanted)
