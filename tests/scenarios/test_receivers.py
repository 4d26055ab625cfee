"""A receiver that is away hears later what it missed: in order, once, and no end without a beginning."""

from __future__ import annotations

import pytest

from tests.scenarios.events import agent_killed, receiver_down, refuses
from tests.scenarios.stories import (
    PAGER,
    H,
    M,
    Story,
    cases,
    check,
    page,
    receiver,
    resolved,
    unsent,
)

BOTH = (PAGER, receiver("boss", "page"))

STORIES = (
    *(
        Story(
            f"The pager {how} for ten minutes while a page is due: it has it afterwards, and then its end",
            [receiver_down("pager", 9 * M, 20 * M, status), refuses(10 * M, 30 * M)],
            [page(20 * M, 6 * M), resolved(30 * M), *unsent(15 * M, 3 * M, 20 * M, 7 * M)],
            lasts=35 * M,
        )
        for how, status in (("is down", None), ("answers 503", 503), ("hangs", 0))
    ),
    Story(
        "The pager is away during the whole outage: it hears of it, and that it is over, in that order",
        [receiver_down("pager", 9 * M, 40 * M), refuses(10 * M, 20 * M)],
        [page(40 * M, 8 * M), resolved(40 * M, 9 * M), *unsent(15 * M, 3 * M, 40 * M, 9 * M)],
        nightly=True,
        lasts=55 * M,
    ),
    Story(
        "One receiver is away, the other hears at once",
        [receiver_down("pager", 9 * M, 20 * M), refuses(10 * M, 30 * M)],
        [
            page(20 * M, 6 * M),
            resolved(30 * M),
            page(10 * M, to="boss"),
            resolved(30 * M, to="boss"),
            *unsent(15 * M, 3 * M, 20 * M, 9 * M, "boss"),
        ],
        lasts=35 * M,
        receivers=BOTH,
    ),
    Story(
        "The pager asks for two minutes: it is left alone for two minutes",
        [receiver_down("pager", 9 * M, 10 * M + 40, 429, retry_after=120), refuses(10 * M, 20 * M)],
        [page(12 * M, 45), resolved(20 * M)],
        lasts=25 * M,
    ),
    Story(
        "A refused key: that receiver is given up, and the other hears all",
        [receiver_down("pager", 0, H, 401), refuses(10 * M, 20 * M)],
        [page(10 * M, to="boss"), resolved(20 * M, to="boss"), unsent(10 * M, 60, 0, 0, "boss")[0]],
        lasts=25 * M,
        receivers=BOTH,
        given_up=frozenset({"pager"}),
    ),
    Story(
        "The pager takes a message and says 500: it is told again with the same key, which it knows",
        [receiver_down("pager", 9 * M, 12 * M, 500, takes_it=True), refuses(10 * M, 20 * M)],
        [page(10 * M), resolved(20 * M)],
        lasts=25 * M,
    ),
    Story(
        "The end cannot be delivered: it is, when the pager is back",
        [refuses(10 * M, 20 * M), receiver_down("pager", 15 * M, 30 * M)],
        [page(10 * M), resolved(30 * M, 6 * M)],
        lasts=40 * M,
    ),
    Story(
        "The pager is away, and the agent is killed meanwhile: both are told afterwards, once",
        [
            receiver_down("pager", 9 * M, 25 * M),
            refuses(10 * M, 20 * M),
            agent_killed(15 * M),
            agent_killed(22 * M),
        ],
        [page(25 * M, 6 * M), resolved(25 * M, 7 * M), *unsent(15 * M, 3 * M, 25 * M, 8 * M)],
        lasts=35 * M,
    ),
    Story(
        "Two outages while the pager is away: two pages and two ends, each end after its page",
        [receiver_down("pager", 9 * M, 60 * M), refuses(10 * M, 20 * M), refuses(40 * M, 50 * M)],
        [
            page(60 * M, 8 * M),
            resolved(60 * M, 9 * M),
            page(60 * M, 8 * M),
            resolved(60 * M, 9 * M),
            *unsent(15 * M, 4 * M, 60 * M, 9 * M),
        ],
        lasts=75 * M,
        intervals=(60.0,),
    ),
    Story(
        "A pager that is away for more than a day hears of no end of which it never heard the beginning",
        [receiver_down("pager", 0, 24 * H + 15 * M), refuses(5 * M, 20 * M), agent_killed(24 * H + 10 * M)],
        unsent(9 * M, 10 * M, 25 * H, 30 * M)[:1],
        lasts=25 * H,
        intervals=(300.0,),
        tick_every=60.0,
        nightly=True,
        given_up=frozenset({"pager"}),
    ),
    Story(
        "A key is refused until somebody puts it right: the end of what was given up is not told",
        [receiver_down("pager", 0, 15 * M, 401), refuses(10 * M, 20 * M), refuses(90 * M, 100 * M)],
        [
            *unsent(10 * M, 90, 90 * M, 3 * M),
            page(90 * M),
            resolved(100 * M),
        ],
        lasts=105 * M,
        intervals=(60.0,),
        given_up=frozenset({"pager"}),
    ),
    Story(
        "The same, and the agent is killed between: it still knows who never heard",
        [receiver_down("pager", 0, 15 * M, 401), refuses(10 * M, 20 * M), agent_killed(17 * M)],
        unsent(10 * M, 90, 0, 0)[:1],
        lasts=25 * M,
        given_up=frozenset({"pager"}),
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
