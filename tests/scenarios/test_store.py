"""The store is locked, silent, or comes back: pages go out all the same, and nothing is said twice."""

from __future__ import annotations

import pytest

from tests.scenarios.events import agent_killed, refuses, store_locked, store_silent
from tests.scenarios.stories import M, Story, cases, check, page, refusing, resolved

STORIES = (
    Story(
        "The store is locked for ten minutes around an outage's begin: it is paged",
        [store_locked(9 * M, 19 * M), refuses(10 * M, 25 * M)],
        [page(10 * M, 40), resolved(25 * M), *refusing(9 * M, 19 * M)],
        lasts=30 * M,
    ),
    Story(
        "The store says nothing for ten minutes around an outage's begin: it is paged",
        [store_silent(9 * M, 19 * M), refuses(10 * M, 25 * M)],
        [page(10 * M, 45), resolved(25 * M), *refusing(9 * M, 19 * M)],
        lasts=30 * M,
    ),
    Story(
        "The store is locked over a whole outage: page and end come from memory",
        [store_locked(9 * M, 30 * M), refuses(10 * M, 20 * M)],
        [page(10 * M, 40), resolved(20 * M, 40), *refusing(9 * M, 30 * M)],
        nightly=True,
        lasts=35 * M,
    ),
    Story(
        "The store says nothing over a whole outage",
        [store_silent(9 * M, 30 * M), refuses(10 * M, 20 * M)],
        [page(10 * M, 45), resolved(20 * M, 45), *refusing(9 * M, 30 * M)],
        lasts=35 * M,
    ),
    Story(
        "The store is locked when it ends",
        [store_locked(19 * M, 25 * M), refuses(10 * M, 20 * M)],
        [page(10 * M), resolved(20 * M, 40), *refusing(19 * M, 25 * M)],
        lasts=30 * M,
    ),
    Story(
        "The store is locked for an hour in which nothing happens",
        [store_locked(10 * M, 70 * M)],
        [],
        lasts=75 * M,
        intervals=(60.0,),
    ),
    Story(
        "The store works again before the agent is killed: one page",
        [store_locked(9 * M, 12 * M), refuses(10 * M, 25 * M), agent_killed(15 * M)],
        [page(10 * M, 40), resolved(25 * M), *refusing(9 * M, 12 * M)],
        lasts=30 * M,
    ),
    Story(
        "The store is locked again and again for five seconds",
        [*(store_locked(n * 20, n * 20 + 5) for n in range(1, 90)), refuses(10 * M, 20 * M)],
        [page(10 * M, 40), resolved(20 * M, 40)],
        lasts=25 * M,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
