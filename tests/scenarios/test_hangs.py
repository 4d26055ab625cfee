"""What hangs is down; what is slow is up, and somebody may look at it tomorrow."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time

import pytest

from tests.scenarios.events import drips, hangs, throttles
from tests.scenarios.simulation import BEGAN
from tests.scenarios.stories import (
    M,
    Story,
    cases,
    check,
    closed,
    page,
    play,
    resolved,
    soon,
    ticket,
)
from tests.scenarios.worlds import TIMEOUT

HANGING = 3 * TIMEOUT
"""Seconds that the probes of an outage take more when each of them hangs."""

STORIES = (
    Story(
        "An API that hangs is down; it pages once three probes have hung",
        [hangs(10 * M, 20 * M)],
        [page(10 * M, soon(30) + HANGING), resolved(20 * M, soon(30) + TIMEOUT)],
        lasts=25 * M,
        phases=(0.0, 0.5),
    ),
    Story(
        "At an interval of five seconds a hanging API pages as well, for its deadline is the interval",
        [hangs(10 * M, 15 * M)],
        [page(10 * M, soon(5) + 15), resolved(15 * M, soon(5) + 5)],
        lasts=20 * M,
        intervals=(5.0,),
        phases=(0.0, 0.5),
    ),
    Story(
        "A hang of less than three seconds costs one probe and no page",
        [hangs(5 * M, 5 * M + 2.9)],
        [],
        lasts=10 * M,
        intervals=(5.0, 30.0),
        phases=(0.0, 0.3, 0.96),
    ),
    Story(
        "Answers that take 9 of the 10 seconds allowed are a ticket about speed, and no page",
        [drips(9.0, 10 * M, 40 * M)],
        [ticket(12 * M, "health-latency", 5 * M), closed(42 * M, "health-latency", 6 * M)],
        lasts=50 * M,
    ),
    Story(
        "One slow answer among quick ones is nobody's business",
        [drips(5.0, 10 * M, 10 * M + 25)],
        [],
        lasts=20 * M,
        phases=(0.0, 0.5),
    ),
    Story(
        "Answers that take longer than allowed are an outage",
        [drips(11.0, 10 * M, 20 * M)],
        [page(10 * M, soon(30) + HANGING), resolved(20 * M, soon(30) + TIMEOUT)],
        lasts=25 * M,
    ),
    Story(
        "It gets slower until it hangs: a ticket first, then a page; then both end",
        [drips(0.5, 10 * M, 20 * M), hangs(20 * M, 30 * M)],
        [
            ticket(12 * M, "health-latency", 5 * M),
            page(20 * M, soon(30) + HANGING),
            resolved(30 * M, soon(30) + TIMEOUT),
            closed(30 * M, "health-latency", 8 * M),
        ],
        lasts=45 * M,
    ),
    Story(
        "A 429 slows us down and is never down",
        [throttles(10 * M, 13 * M)],
        [],
        lasts=20 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "A 429 for a quarter of an hour: nobody knows, which is said once",
        [throttles(10 * M, 25 * M, 60.0)],
        [page(15 * M, 3 * M, name="no-data"), resolved(25 * M, 2 * M, name="no-data")],
        lasts=30 * M,
    ),
    Story(
        "A 429 that asks for an hour and ends after four minutes is noticed in time: nobody is told",
        [throttles(10 * M, 14 * M, 3600.0)],
        [],
        lasts=25 * M,
        phases=(0.0, 0.5),
    ),
    Story(
        "A 429 that asks for an hour and is meant: nobody knows, which is said once, as is its end",
        [throttles(10 * M, 70 * M, 3600.0)],
        [page(15 * M, 3 * M, name="no-data"), resolved(70 * M, 2.5 * M, name="no-data")],
        lasts=75 * M,
        phases=(0.0, 0.5),
    ),
    Story(
        "A 429 in the middle of an outage neither ends it nor begins it anew",
        [hangs(10 * M, 14 * M), throttles(14 * M, 16 * M), hangs(16 * M, 20 * M)],
        [page(10 * M, soon(30) + HANGING), resolved(20 * M, soon(30) + 60 + TIMEOUT)],
        lasts=25 * M,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)


def test_the_page_names_the_limit_since_when_it_stands_and_the_cure() -> None:
    [story] = [each for each in STORIES if "an hour and is meant" in each.name]
    told, _ = play(story).heard
    said = re.fullmatch(
        r"rate limited since (\S+) UTC, so exempt the monitor: 429: asked to wait 1 h "
        r"\(the health check last brought data 7 min ago\)",
        told.page.reason,
    )
    assert said, told.page.reason
    since = datetime.combine(datetime.fromtimestamp(BEGAN, UTC), time.fromisoformat(said[1]), UTC)
    assert 10 * M <= since.timestamp() - BEGAN <= 10 * M + 30
