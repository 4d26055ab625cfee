"""The agent was away, asleep, blocked, or did not know the time: that says nothing about the targets."""

from __future__ import annotations

import pytest

from tests.scenarios.events import blocked, clock_set, hangs, level, refuses, suspended, throttles, traffic
from tests.scenarios.stories import H, M, Story, cases, check, page, resolved, soon
from tests.scenarios.worlds import POOL, TIMEOUT

LOOKS = 2 * 30.0 + 10
"""Seconds that a page may come later when the agent has just been away: one look more."""

STORIES = (
    Story(
        "The machine sleeps for ten minutes, and the target is well",
        [suspended(5 * M, 600)],
        [],
        lasts=20 * M,
        intervals=(30.0, 5.0),
        phases=(0.0, 0.5),
        metrics=True,
    ),
    Story(
        "It sleeps with a probe under way",
        [*(suspended(at * M + 0.6, 600) for at in (2, 20))],
        [],
        lasts=40 * M,
        intervals=(30.0,),
        phases=(0.586, 0.58, 0.57),
        metrics=True,
    ),
    Story(
        "The event loop is blocked for half a minute, again and again",
        [blocked(at * M, 30) for at in (3, 5, 7, 9)],
        [],
        lasts=15 * M,
        intervals=(30.0, 5.0),
        phases=(0.0, 0.3),
    ),
    Story(
        "The event loop is blocked for a second at each probe",
        [blocked(n * 30 + 17.41, 1.0) for n in range(4, 24)],
        [],
        lasts=15 * M,
    ),
    Story(
        "The clock is set forward by an hour",
        [clock_set(10 * M, H)],
        [],
        lasts=20 * M,
        metrics=True,
        intervals=(30.0, 5.0),
    ),
    Story(
        "The clock is set back by an hour",
        [clock_set(10 * M, -H)],
        [],
        lasts=20 * M,
        metrics=True,
        intervals=(30.0, 5.0),
    ),
    Story(
        "The clock is set back by an hour during an outage: its page stays one, and its end is told",
        [refuses(10 * M, 20 * M), clock_set(15 * M, -H)],
        [page(10 * M), resolved(20 * M, 2 * M)],
        lasts=30 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "The clock is set forward by an hour during an outage: its page stays one, and its end is told",
        [refuses(10 * M, 20 * M), clock_set(15 * M, H)],
        [page(10 * M), resolved(20 * M, 2 * M)],
        nightly=True,
        lasts=30 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "The clock is set back, and then an outage begins: it pages as ever",
        [clock_set(5 * M, -H), refuses(10 * M, 15 * M)],
        [page(10 * M), resolved(15 * M)],
        lasts=20 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "An outage begins while the machine sleeps: it is paged after waking",
        [suspended(10 * M, 600), refuses(15 * M, 30 * M)],
        [page(20 * M, LOOKS), resolved(30 * M)],
        lasts=35 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "An outage begins and ends while the machine sleeps: nobody knows, nobody is told",
        [suspended(10 * M, 600), refuses(12 * M, 18 * M)],
        [],
        lasts=25 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "An outage was paged, the machine sleeps, the outage ends meanwhile: the end is told after waking",
        [refuses(5 * M, 15 * M), suspended(10 * M, 600)],
        [page(5 * M), resolved(20 * M, 2 * M)],
        lasts=25 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "A blip before sleeping and a blip after it are not failures in a row",
        [refuses(10 * M - 1, 10 * M), suspended(10 * M, 600), refuses(20 * M, 20 * M + 2.5)],
        [],
        lasts=25 * M,
        intervals=(5.0, 30.0),
        phases=(0.0, 0.2, 0.4, 0.6),
    ),
    Story(
        "What waits for its five minutes begins anew after ten minutes of sleep",
        [level("pool", 8 * M, 0.95 * POOL), suspended(10 * M, 600), level("pool", 23 * M, 0.2 * POOL)],
        [],
        lasts=30 * M,
        metrics=True,
    ),
    Story(
        "A full pool that outlasts the sleep is paged five minutes after waking",
        [level("pool", 8 * M, 0.95 * POOL), suspended(10 * M, 600), level("pool", 30 * M, 0.2 * POOL)],
        [page(25 * M, 90, name="pool-usage"), resolved(30 * M, 3 * M, name="pool-usage")],
        lasts=36 * M,
        metrics=True,
    ),
    Story(
        "Errors before sleeping are no errors after it",
        [
            traffic(0, 8 * M, 10),
            traffic(8 * M, 9.5 * M, 10, bad=0.5),
            suspended(9.6 * M, 600),
            traffic(19 * M, H, 10),
        ],
        [],
        lasts=30 * M,
        metrics=True,
    ),
    Story(
        "A laptop that sleeps for nine minutes of each ten sees an outage in the end, and no other",
        [*(suspended(at * 10 * M + 60, 540) for at in range(1, 5)), refuses(50 * M, 60 * M)],
        [page(50 * M, LOOKS), resolved(60 * M)],
        lasts=65 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "The clock is set back while the target asked to be left alone: it is left alone no longer for that",
        [throttles(10 * M, 11 * M, 60.0), clock_set(11 * M, -H), refuses(15 * M, 20 * M)],
        [page(15 * M), resolved(20 * M)],
        lasts=25 * M,
    ),
    Story(
        "The target hangs while the loop is blocked: the target's fault is told all the same",
        [hangs(10 * M, 15 * M), blocked(10 * M + 20, 8), blocked(11 * M + 20, 8)],
        [page(10 * M, soon(30) + 3 * TIMEOUT + 60), resolved(15 * M, soon(30) + 2 * TIMEOUT)],
        lasts=20 * M,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
