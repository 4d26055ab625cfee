"""Maintenance and business hours by the clock on the wall of Zurich, where it changes twice a year."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from monitor.hours import Hours
from monitor.maintenance import OneOff, Weekly
from tests.scenarios.events import one_worker_fails, refuses
from tests.scenarios.stories import M, Story, cases, check, closed, page, receiver, resolved, ticket

ZURICH = ZoneInfo("Europe/Zurich")
SUNDAYS = frozenset({6})
WEEKDAYS = frozenset(range(5))
NIGHTLY = Weekly("upgrade", SUNDAYS, time(2, 30), 3600.0, ZURICH)
OFFICE = Hours(ZURICH, WEEKDAYS, 8 * 60, 18 * 60, ("ticket", "info"))
CHAT = receiver("chat", "ticket", "info", hours=OFFICE)


def utc(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


STORIES = (
    Story(
        "The clock leaves out half past two: maintenance begins at three, and lasts its hour",
        [refuses(40 * M, 100 * M)],
        [page(90 * M, 10), resolved(100 * M)],
        lasts=110 * M,
        intervals=(60.0,),
        began=utc("2026-03-29 00:30"),
        maintenance=(NIGHTLY,),
    ),
    Story(
        "The hour before it, half past one is still half past one: an outage then is paged",
        [refuses(5 * M, 15 * M)],
        [page(5 * M), resolved(15 * M)],
        lasts=20 * M,
        began=utc("2026-03-29 00:30"),
        maintenance=(NIGHTLY,),
    ),
    Story(
        "Half past two comes twice: maintenance is at the first, and lasts its hour",
        [refuses(40 * M, 100 * M)],
        [page(90 * M, 10), resolved(100 * M)],
        lasts=110 * M,
        intervals=(60.0,),
        began=utc("2026-10-25 00:00"),
        maintenance=(NIGHTLY,),
    ),
    Story(
        "At the second half past two nobody expects an outage any more: it is paged",
        [refuses(35 * M, 45 * M)],
        [page(35 * M), resolved(45 * M)],
        lasts=50 * M,
        began=utc("2026-10-25 01:00"),
        maintenance=(NIGHTLY,),
    ),
    Story(
        "On an ordinary Sunday it is at half past two",
        [refuses(40 * M, 100 * M)],
        [page(90 * M, 10), resolved(100 * M)],
        nightly=True,
        lasts=110 * M,
        intervals=(60.0,),
        began=utc("2026-11-01 01:00"),
        maintenance=(NIGHTLY,),
    ),
    Story(
        "On a Monday there is none",
        [refuses(40 * M, 50 * M)],
        [page(40 * M), resolved(50 * M)],
        nightly=True,
        lasts=60 * M,
        intervals=(60.0,),
        began=utc("2026-11-02 01:00"),
        maintenance=(NIGHTLY,),
    ),
    Story(
        "A ticket at night waits until eight by summer time",
        [one_worker_fails(4, 5 * M, 70 * M)],
        [ticket(60 * M, "health-unsteady", 30), closed(70 * M, "health-unsteady", 15 * M)],
        lasts=90 * M,
        began=utc("2026-03-30 05:00"),
        receivers=(CHAT,),
        intervals=(30.0,),
    ),
    Story(
        "A ticket at night waits until eight by winter time",
        [one_worker_fails(4, 5 * M, 70 * M)],
        [ticket(60 * M, "health-unsteady", 30), closed(70 * M, "health-unsteady", 15 * M)],
        nightly=True,
        lasts=90 * M,
        began=utc("2026-10-26 06:00"),
        receivers=(CHAT,),
        intervals=(30.0,),
    ),
    Story(
        "A ticket at night that is over by morning is nobody's business",
        [one_worker_fails(4, 5 * M, 20 * M)],
        [],
        lasts=90 * M,
        began=utc("2026-10-26 06:00"),
        receivers=(CHAT,),
        intervals=(30.0,),
    ),
    Story(
        "A page does not wait for the office to open",
        [refuses(5 * M, 20 * M)],
        [page(5 * M), resolved(20 * M)],
        lasts=25 * M,
        began=utc("2026-10-26 02:00"),
        receivers=(receiver("pager", "page", hours=OFFICE),),
    ),
    Story(
        "A ticket told at a quarter to six is closed in the evening: an end wakes nobody",
        [one_worker_fails(4, 5 * M, 40 * M)],
        [ticket(5 * M, "health-unsteady", 12 * M), closed(40 * M, "health-unsteady", 15 * M)],
        nightly=True,
        lasts=60 * M,
        began=utc("2026-10-26 16:40"),
        receivers=(CHAT,),
    ),
    Story(
        "Maintenance of all night, over the change: thirteen hours by the clock are twelve",
        [refuses(30 * M, 200 * M)],
        [page(150 * M, 15), resolved(200 * M, 90)],
        nightly=True,
        lasts=210 * M,
        began=utc("2026-10-25 00:00"),
        intervals=(60.0,),
        tick_every=10.0,
        maintenance=(OneOff("move", utc("2026-10-24 20:00"), utc("2026-10-25 02:30"), (), ZURICH),),
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
