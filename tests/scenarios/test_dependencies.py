"""One cause, one page: what a broken parent explains is not paged by itself, and what outlives it is."""

from __future__ import annotations

import pytest

from tests.scenarios.events import (
    answers,
    drips,
    maintenance_entered,
    refuses,
    silenced,
    throttles,
    traffic,
)
from tests.scenarios.stories import H, M, Story, cases, check, closed, page, resolved, soon, ticket
from tests.scenarios.worlds import TIMEOUT

FAMILY = {"db": (), "api": ("db",)}
LINGERS = 20.0
"""Seconds after a parent's end within which a child is looked at once more, at least."""

STORIES = (
    Story(
        "The database dies and the API with it: one page, about the database",
        [refuses(10 * M, 20 * M, "db"), answers(503, 10 * M, 20 * M, "api")],
        [page(10 * M, target="db"), resolved(20 * M, target="db")],
        lasts=25 * M,
        targets=FAMILY,
        intervals=(30.0, 5.0),
        phases=(0.0, 0.5),
    ),
    Story(
        "The API notices before the database does: one page all the same",
        [answers(503, 10 * M, 20 * M, "api"), refuses(10 * M + 5, 20 * M - 5, "db")],
        lambda interval: [page(10 * M, 15 + interval, target="db"), resolved(20 * M - 5, target="db")],
        lasts=25 * M,
        targets=FAMILY,
        intervals=(30.0, 60.0),
    ),
    Story(
        "The database heals, and the API does not: then it pages",
        [refuses(10 * M, 20 * M, "db"), answers(503, 10 * M, 30 * M, "api")],
        [page(10 * M, target="db"), resolved(20 * M, target="db"), page(20 * M, 70), resolved(30 * M)],
        lasts=35 * M,
        targets=FAMILY,
        intervals=(30.0, 5.0),
        phases=(0.0, 0.5),
    ),
    Story(
        "The API fails alone: it pages, as soon as the database was looked at",
        [refuses(10 * M, 20 * M, "api")],
        [page(10 * M, soon(30) + 30), resolved(20 * M)],
        lasts=25 * M,
        targets=FAMILY,
        intervals=(30.0, 5.0),
    ),
    Story(
        "The database is looked at each minute, the API each five seconds: still one page",
        [refuses(10 * M, 20 * M, "db"), answers(503, 10 * M, 20 * M, "api")],
        [page(10 * M, target="db"), resolved(20 * M, target="db")],
        lasts=25 * M,
        targets=FAMILY,
        own_intervals={"db": 60.0, "api": 5.0},
    ),
    Story(
        "A slow parent that is well holds back its child's page by its interval, and no longer",
        [refuses(10 * M, 15 * M, "api")],
        [page(10 * M, soon(5) + 60 + TIMEOUT), resolved(15 * M)],
        nightly=True,
        lasts=20 * M,
        targets=FAMILY,
        own_intervals={"db": 60.0, "api": 5.0},
    ),
    Story(
        "Nobody knows how the database is: the API's own outage pages all the same",
        [throttles(5 * M, 40 * M, 60.0, "db"), refuses(15 * M, 30 * M, "api")],
        [
            page(10 * M, 3 * M, name="no-data", target="db"),
            resolved(40 * M, 2 * M, name="no-data", target="db"),
            page(15 * M, soon(30) + 40),
            resolved(30 * M),
        ],
        lasts=45 * M,
        targets=FAMILY,
    ),
    Story(
        "A blip of the database does not hide the API's outage",
        [refuses(10 * M, 10 * M + 2, "db"), refuses(10 * M, 20 * M, "api")],
        [page(10 * M, soon(30) + 75), resolved(20 * M)],
        lasts=25 * M,
        targets=FAMILY,
        intervals=(30.0, 5.0),
        phases=(0.0, 0.3, 0.6),
    ),
    Story(
        "Three in a row: the deepest cause pages, and the others one after the other as they outlive it",
        [refuses(10 * M, 20 * M, "disk"), refuses(10 * M, 30 * M, "db"), refuses(10 * M, 40 * M, "api")],
        [
            page(10 * M, target="disk"),
            resolved(20 * M, target="disk"),
            page(20 * M, 70, target="db"),
            resolved(30 * M, target="db"),
            page(30 * M, 70),
            resolved(40 * M),
        ],
        lasts=45 * M,
        targets={"disk": (), "db": ("disk",), "api": ("db",)},
    ),
    Story(
        "Ten services on one database that dies: one page",
        [refuses(5 * M, 10 * M, "db"), *(answers(503, 5 * M, 10 * M, f"api-{n}") for n in range(10))],
        [page(5 * M, target="db"), resolved(10 * M, target="db")],
        lasts=13 * M,
        targets={"db": (), **{f"api-{n}": ("db",) for n in range(10)}},
    ),
    Story(
        "Maintenance of the database is maintenance of what needs it",
        [
            maintenance_entered(9 * M, 20 * M, "db"),
            refuses(10 * M, 20 * M, "db"),
            answers(503, 10 * M, 20 * M, "api"),
        ],
        [],
        lasts=35 * M,
        targets=FAMILY,
    ),
    Story(
        "A silenced database still explains its children",
        [silenced(9 * M, 20 * M, "db"), refuses(10 * M, 20 * M, "db"), refuses(10 * M, 20 * M, "api")],
        [],
        lasts=35 * M,
        targets=FAMILY,
    ),
    Story(
        "The database's slowness is a ticket, which explains no outage of the API",
        [drips(1.0, 5 * M, 30 * M, "db"), refuses(15 * M, 25 * M, "api")],
        [
            ticket(7 * M, "health-latency", target="db"),
            closed(32 * M, "health-latency", 6 * M, target="db"),
            page(15 * M, soon(30) + 30),
            resolved(25 * M),
        ],
        lasts=40 * M,
        targets=FAMILY,
    ),
    Story(
        "The database was down for two minutes, which the API's errors show for five: no page",
        [
            traffic(0, 10 * M, 10),
            traffic(10 * M, 12 * M, 10, bad=1.0),
            traffic(12 * M, H, 10),
            refuses(10 * M, 12 * M, "db"),
        ],
        [page(10 * M, target="db"), resolved(12 * M, target="db")],
        lasts=25 * M,
        targets=FAMILY,
        metrics=True,
    ),
    Story(
        "The child was paged before the parent broke: it is not paged again, and its end is told",
        [refuses(5 * M, 20 * M, "api"), refuses(10 * M, 15 * M, "db")],
        [
            page(5 * M, soon(30) + 30),
            page(10 * M, target="db"),
            resolved(15 * M, target="db"),
            resolved(20 * M),
        ],
        lasts=25 * M,
        targets=FAMILY,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
