"""What people asked to be kept quiet is; what outlasts that is told; who was told hears the end."""

from __future__ import annotations

import pytest

from tests.scenarios.events import (
    acknowledged,
    maintenance_entered,
    refuses,
    silence_ended,
    silenced,
    taken_back,
)
from tests.scenarios.stories import (
    PAGER,
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
    ticket,
)

REMINDING = receiver("pager", "page", remind_every=10 * M)
ESCALATING = receiver("pager", "page", escalate_after=15 * M, escalate_to="boss")
BOSS = receiver("boss", "info")

STORIES = (
    Story(
        "A silence over the whole outage: nobody hears anything",
        [silenced(5 * M, 30 * M), refuses(10 * M, 20 * M)],
        [],
        lasts=45 * M,
    ),
    Story(
        "A silence that ends during the outage: then it is paged",
        [silenced(5 * M, 10 * M), refuses(10 * M, 25 * M)],
        [page(15 * M, 10), resolved(25 * M)],
        lasts=30 * M,
    ),
    Story(
        "A silence that begins after the page, and outlasts the outage: the end is told all the same",
        [refuses(10 * M, 20 * M), silenced(12 * M, 30 * M)],
        [page(10 * M), resolved(20 * M)],
        lasts=45 * M,
    ),
    Story(
        "A silence that begins after the page and ends before the outage: a reminder",
        [refuses(10 * M, 30 * M), silenced(12 * M, 10 * M)],
        [page(10 * M), said("reminder", 22 * M, 10), resolved(30 * M)],
        lasts=35 * M,
    ),
    Story(
        "Somebody ends the silence early: then it is paged",
        [silenced(5 * M, 30 * M), refuses(10 * M, 25 * M), silence_ended(15 * M)],
        [page(15 * M, 10), resolved(25 * M)],
        lasts=40 * M,
    ),
    Story(
        "A silence of another target hides nothing",
        [silenced(5 * M, 30 * M, "db"), refuses(10 * M, 20 * M, "api")],
        [page(10 * M), resolved(20 * M)],
        nightly=True,
        lasts=25 * M,
        targets={"api": (), "db": ()},
    ),
    Story(
        "A silence of another alert hides nothing",
        [silenced(5 * M, 30 * M, name="error-rate"), refuses(10 * M, 20 * M)],
        [page(10 * M), resolved(20 * M)],
        lasts=25 * M,
    ),
    Story(
        "Reminders come in their time, until somebody answers",
        [refuses(10 * M, 60 * M), acknowledged(35 * M)],
        [
            page(10 * M),
            said("reminder", 20 * M, 45),
            said("reminder", 30 * M, 50),
            said("acknowledged", 35 * M, 10),
            resolved(60 * M),
        ],
        lasts=65 * M,
        receivers=(REMINDING,),
        intervals=(60.0,),
    ),
    Story(
        "Nobody answers: the boss is told, once, and hears the end",
        [refuses(10 * M, 60 * M)],
        [
            page(10 * M),
            said("escalation", 25 * M, 75, to="boss"),
            resolved(60 * M),
            resolved(60 * M, to="boss"),
        ],
        lasts=65 * M,
        receivers=(ESCALATING, BOSS),
        intervals=(60.0,),
    ),
    Story(
        "Somebody answers: the boss sleeps on, and hears no end either",
        [refuses(10 * M, 60 * M), acknowledged(20 * M)],
        [page(10 * M), said("acknowledged", 20 * M, 10), resolved(60 * M)],
        nightly=True,
        lasts=65 * M,
        receivers=(ESCALATING, BOSS),
        intervals=(60.0,),
    ),
    Story(
        "Who answered takes it back: the boss is told a quarter of an hour later",
        [refuses(10 * M, 60 * M), acknowledged(20 * M), taken_back(30 * M)],
        [
            page(10 * M),
            said("acknowledged", 20 * M, 10),
            said("escalation", 45 * M, 20, to="boss"),
            resolved(60 * M),
            resolved(60 * M, to="boss"),
        ],
        lasts=65 * M,
        receivers=(ESCALATING, BOSS),
        intervals=(60.0,),
    ),
    Story(
        "An answer to one outage is none to the next",
        [refuses(10 * M, 15 * M), acknowledged(12 * M), refuses(80 * M, 100 * M)],
        [
            page(10 * M),
            said("acknowledged", 12 * M, 10),
            resolved(15 * M),
            page(80 * M),
            said("escalation", 95 * M, 75, to="boss"),
            resolved(100 * M),
            resolved(100 * M, to="boss"),
        ],
        nightly=True,
        lasts=105 * M,
        receivers=(ESCALATING, BOSS),
        intervals=(60.0,),
    ),
    Story(
        "Maintenance that is entered by hand, and outlasted by the outage",
        [maintenance_entered(9 * M, 10 * M, "api"), refuses(10 * M, 30 * M)],
        [page(19 * M, 10), resolved(30 * M)],
        lasts=35 * M,
    ),
    Story(
        "An outage that was paged, a silence, and its end within it; then another outage: it is paged anew",
        [refuses(10 * M, 20 * M), silenced(15 * M, 10 * M), refuses(40 * M, 50 * M)],
        [page(10 * M), resolved(20 * M), page(40 * M), resolved(50 * M)],
        nightly=True,
        lasts=55 * M,
    ),
    Story(
        "What flaps under a silence does not count as flapping afterwards",
        [
            silenced(5 * M, 20 * M),
            *(refuses(at * M, at * M + 60) for at in (7, 10, 13, 16)),
            refuses(40 * M, 45 * M),
        ],
        [
            page(40 * M),
            resolved(45 * M),
            *maybe(ticket(25 * M, "health-unsteady"), closed(25 * M, "health-unsteady")),
        ],
        lasts=50 * M,
        receivers=(PAGER,),
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
