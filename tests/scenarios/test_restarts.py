"""Stopped or killed in whatever state, the agent goes on: nothing is lost, and nothing said twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenarios.events import (
    acknowledged,
    agent_killed,
    agent_restarts,
    answers,
    level,
    receiver_down,
    refuses,
    silenced,
    torn_page,
)
from tests.scenarios.stories import (
    H,
    M,
    Story,
    cases,
    check,
    closed,
    maybe,
    page,
    receiver,
    resolved,
    said,
    soon,
    ticket,
    unsent,
)
from tests.scenarios.worlds import POOL

SELDOM = (
    "before anything is wrong",
    "three times while it fires",
    "when two answers were good again",
    "a minute after it was resolved",
    "while the pool is full",
    "between two flaps",
    "after the last flap",
    "just when the silence ends",
    "with a page that waits, again and again",
    "just before it explains",
)
"""Moments much like others: nightly."""
OUTAGE = refuses(10 * M, 20 * M)
REMINDING = receiver("pager", "page", remind_every=5 * M, escalate_after=12 * M, escalate_to="boss")
BOSS = receiver("boss", "info")


def interrupted(name: str, story: Story, *moments: float, gap: float = 2.0) -> list[Story]:
    """The same story, with an agent that is stopped, and one that is killed, at these moments."""
    return [
        replace(
            story,
            name=f"{how} {name}: {story.name}",
            history=[*story.history, *(act(at, gap) for at in moments)],
            nightly=act is agent_restarts or name in SELDOM,
        )
        for how, act in (("Stopped", agent_restarts), ("Killed", agent_killed))
    ]


PAGED = Story(
    "one page, one end", [OUTAGE], [page(10 * M, soon(30) + 8), resolved(20 * M, soon(30) + 8)], lasts=25 * M
)
SLOW = Story(
    "a page after five minutes",
    [level("pool", 5 * M, 0.95 * POOL), level("pool", 20 * M, 0.2 * POOL)],
    [page(10 * M, 3 * M, name="pool-usage"), resolved(20 * M, 4 * M, name="pool-usage")],
    lasts=28 * M,
    metrics=True,
)
FLAPPING = Story(
    "flapping is said once, and so is its end",
    [refuses(at * M, at * M + 60) for at in (5, 7, 9, 11)],
    [
        page(5 * M),
        resolved(6 * M),
        page(7 * M),
        resolved(8 * M),
        said("flapping", 9 * M),
        resolved(26 * M, 3 * M),
        *maybe(ticket(5 * M, "health-unsteady", 10 * M), closed(5 * M, "health-unsteady", H)),
    ],
    lasts=35 * M,
)
ACKNOWLEDGED = Story(
    "no reminder and no escalation after somebody has answered",
    [OUTAGE, acknowledged(11 * M)],
    [page(10 * M), said("acknowledged", 11 * M, 10), resolved(20 * M)],
    lasts=25 * M,
    receivers=(REMINDING, BOSS),
)
UNANSWERED = Story(
    "reminders in their time, one escalation",
    [refuses(10 * M, 30 * M)],
    [
        page(10 * M),
        *(said("reminder", (15 + 5 * n) * M, 50) for n in range(3)),
        said("escalation", 22 * M, 50, to="boss"),
        resolved(30 * M),
        resolved(30 * M, to="boss"),
        *maybe(said("reminder", 30 * M - 30, 45)),
    ],
    lasts=35 * M,
    receivers=(REMINDING, BOSS),
)
SILENCED = Story(
    "nobody is told before the silence ends, then once",
    [silenced(9 * M, 9 * M), OUTAGE],
    [page(18 * M, 15), resolved(20 * M)],
    lasts=25 * M,
)
UNHEARD = Story(
    "what the pager could not hear it hears later",
    [OUTAGE, receiver_down("pager", 9 * M, 15 * M)],
    [page(15 * M, 6 * M), resolved(20 * M, 2 * M), *maybe(*unsent(15 * M, 60, 15 * M, 6 * M))],
    lasts=28 * M,
)
BLIND = Story(
    "missing data is told once",
    [torn_page(5 * M, 20 * M)],
    [ticket(10 * M, "no-data", 7 * M), closed(20 * M, "no-data", 2 * M)],
    lasts=25 * M,
    metrics=True,
)
EXPLAINED = Story(
    "one page about the parent",
    [refuses(10 * M, 20 * M, "db"), answers(503, 10 * M, 20 * M, "api")],
    [page(10 * M, soon(30) + 8, target="db"), resolved(20 * M, target="db")],
    lasts=25 * M,
    targets={"db": (), "api": ("db",)},
)

STORIES = (
    *interrupted("before anything is wrong", PAGED, 5 * M),
    *interrupted("just when the first probe has failed", PAGED, 10 * M + 18.0),
    *interrupted("when two probes have failed", PAGED, 10 * M + 19.5),
    *interrupted("just when it fires", PAGED, 10 * M + 20.73),
    *interrupted("while it fires", PAGED, 15 * M),
    *interrupted("three times while it fires", PAGED, 12 * M, 13 * M, 14 * M),
    *interrupted("when one answer was good again", PAGED, 20 * M + 18.5),
    *interrupted("when two answers were good again", PAGED, 20 * M + 20.0),
    *interrupted("just when it was resolved", PAGED, 20 * M + 20.8),
    *interrupted("a minute after it was resolved", PAGED, 21 * M + 30),
    *interrupted(
        "for ten minutes, in which it heals",
        replace(PAGED, wanted=[page(10 * M), resolved(25 * M, 70)], lasts=30 * M),
        15 * M,
        gap=600,
    ),
    *interrupted(
        "for ten minutes, in which it breaks",
        replace(PAGED, wanted=[page(15 * M, 70), resolved(20 * M)], lasts=30 * M),
        5 * M,
        gap=600,
    ),
    *interrupted(
        "while it waits for its five minutes",
        replace(
            SLOW, wanted=[page(10 * M, 8 * M, name="pool-usage"), resolved(20 * M, 4 * M, name="pool-usage")]
        ),
        8 * M,
    ),
    *interrupted("while the pool is full", SLOW, 15 * M),
    *interrupted("while it cools", SLOW, 20 * M + 50),
    *interrupted("between two flaps", FLAPPING, 8.5 * M),
    *interrupted("while it flaps", FLAPPING, 10 * M + 30),
    *interrupted("after the last flap", FLAPPING, 15 * M),
    *interrupted("after the answer", ACKNOWLEDGED, 13 * M),
    *interrupted("between reminders", UNANSWERED, 18 * M, 24 * M),
    *interrupted("during the silence", SILENCED, 12 * M),
    *interrupted("just when the silence ends", SILENCED, 18 * M - 1),
    *interrupted("with a page that waits", UNHEARD, 12 * M),
    *interrupted("with a page that waits, again and again", UNHEARD, 11 * M, 12 * M, 13 * M, 14 * M),
    *interrupted("while nobody knows", BLIND, 15 * M),
    *interrupted("while it explains", EXPLAINED, 15 * M),
    *interrupted(
        "just before it explains",
        replace(EXPLAINED, wanted=[page(10 * M, soon(30) + 30, target="db"), resolved(20 * M, target="db")]),
        10 * M + 19,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
