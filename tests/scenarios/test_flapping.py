"""What comes and goes is said as such, once; a value that wavers about its limit is one alert."""

from __future__ import annotations

import pytest

from tests.scenarios.events import level, refuses, traffic
from tests.scenarios.stories import H, M, Story, cases, check, closed, maybe, page, resolved, said, ticket
from tests.scenarios.worlds import POOL


def up_and_down(begin: float, down: float, up: float, times: int) -> list[tuple[float, float]]:
    return [(begin + n * (down + up), begin + n * (down + up) + down) for n in range(times)]


def flaps(down: float, up: float, times: int, interval: float, *, nightly: bool = False) -> Story:
    spans = up_and_down(10 * M, down, up, times)
    (first, end), (second, end2), (third, _) = spans[:3]
    last = spans[-1][1]
    return Story(
        f"Down for {down:g} s and up for {up:g} s, {times} times: two pages, then flapping, then its end",
        [refuses(*span) for span in spans],
        [
            page(first),
            resolved(end),
            page(second),
            resolved(end2),
            said("flapping", third),
            resolved(last + 14 * M, 2 * M),
            *maybe(ticket(third, "health-unsteady", last), closed(third, "health-unsteady", last + H)),
        ],
        lasts=last + 25 * M,
        intervals=(interval,),
        tick_every=2.0,
        nightly=nightly,
    )


STORIES = (
    flaps(20, 20, 10, 5.0, nightly=True),
    flaps(60, 60, 10, 30.0),
    flaps(60, 120, 6, 30.0, nightly=True),
    flaps(4 * M, 6 * M, 5, 30.0),
    flaps(90, 90, 8, 60.0),
    Story(
        "Down every forty minutes is no flapping: each time is a page, and each has its end",
        [refuses(at * M, (at + 5) * M) for at in (10, 50, 90)],
        [each for at in (10, 50, 90) for each in (page(at * M), resolved((at + 5) * M))],
        lasts=100 * M,
        intervals=(60.0,),
    ),
    Story(
        "It flaps, and then stays down: that is said, and in the end that it is over",
        [*(refuses(*span) for span in up_and_down(10 * M, 60, 60, 3)), refuses(16 * M, 50 * M)],
        [
            page(10 * M),
            resolved(11 * M),
            page(12 * M),
            resolved(13 * M),
            said("flapping", 14 * M),
            said("reminder", 30 * M, 3 * M),
            resolved(50 * M),
            *maybe(ticket(14 * M, "health-unsteady"), closed(20 * M, "health-unsteady")),
        ],
        lasts=55 * M,
    ),
    Story(
        "The share of errors wavers about its limit: one alert",
        [
            traffic(0, 10 * M, 20, bad=0.01),
            traffic(10 * M, 16 * M, 20, bad=0.06),
            *(traffic((16 + n) * M, (17 + n) * M, 20, bad=0.065 if n % 2 else 0.035) for n in range(20)),
            traffic(36 * M, 60 * M, 20, bad=0.01),
        ],
        [page(12 * M, 6 * M, name="error-rate"), resolved(36 * M, 8 * M, name="error-rate")],
        lasts=50 * M,
        metrics=True,
    ),
    Story(
        "The pool is full, then wavers about the limit, then empties: one alert",
        [
            level("pool", 10 * M, 0.9 * POOL),
            level("pool", 17 * M, 0.78 * POOL),
            level("pool", 21 * M, 0.82 * POOL),
            level("pool", 28 * M, 0.78 * POOL),
            level("pool", 32 * M, 0.5 * POOL),
        ],
        [page(15 * M, 90, name="pool-usage"), resolved(32 * M, 3 * M, name="pool-usage")],
        lasts=36 * M,
        metrics=True,
    ),
    Story(
        "The pool is free for a moment and full again: that was not the end",
        [
            level("pool", 5 * M, 0.95 * POOL),
            level("pool", 15 * M, 0.2 * POOL),
            level("pool", 16.5 * M, 0.95 * POOL),
            level("pool", 19 * M, 0.2 * POOL),
        ],
        [page(10 * M, 60, name="pool-usage"), resolved(19 * M, 3 * M, name="pool-usage")],
        lasts=24 * M,
        metrics=True,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
