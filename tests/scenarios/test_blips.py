"""An outage of less than three seconds pages nobody, one that lasts pages once; and every end is told."""

from __future__ import annotations

import pytest

from tests.scenarios.events import answers, hangs, refuses
from tests.scenarios.stories import (
    SLACK,
    M,
    Story,
    cases,
    check,
    closed,
    maybe,
    page,
    resolved,
    soon,
    ticket,
)

CROWD = tuple(f"api-{number}" for number in range(12))
"""Targets whose outages begin in twelve places between two turns."""


def crowd(name: str, lasts: float, interval: float, *, pages: bool) -> Story:
    begin = {target: 2 * interval + index * interval / 12 for index, target in enumerate(CROWD)}
    history = [refuses(at, at + lasts, target) for target, at in begin.items()]
    wanted = [
        each
        for target, at in begin.items()
        for each in (page(at, target=target), resolved(at + lasts, target=target))
    ]
    return Story(
        f"{name}: {lasts:g} s",
        history,
        wanted if pages else [],
        lasts=5 * interval + 2 * lasts,
        intervals=(interval,),
        targets=dict.fromkeys(CROWD, ()),
        nightly=interval == 60 or lasts in (0.5, 1.4) or (pages and interval == 30),
    )


STORIES = (
    *(
        crowd(
            "An outage of less than three seconds never pages, whenever it begins",
            lasts,
            interval,
            pages=False,
        )
        for lasts in (0.5, 1.4, 1.6, 2.9)
        for interval in (5.0, 30.0, 60.0)
    ),
    *(
        crowd(
            "An outage as long as it takes to be sure pages once, whenever it begins",
            soon(interval) - SLACK + 0.1,
            interval,
            pages=True,
        )
        for interval in (5.0, 30.0, 60.0)
    ),
    Story(
        "A killed API pages within seconds, once, and says when it is back",
        [refuses(10 * M, 20 * M)],
        [page(10 * M), resolved(20 * M)],
        lasts=25 * M,
        intervals=(5.0, 30.0, 60.0),
        phases=(0.0, 0.4),
    ),
    Story(
        "An outage of ten seconds between two probes may go unseen; if it is seen, it pages once",
        [refuses(10 * M, 10 * M + 10)],
        maybe(page(10 * M), resolved(10 * M + 10)),
        lasts=15 * M,
        phases=(0.0, 0.2, 0.5, 0.8),
    ),
    Story(
        "Two blips in a minute page nobody",
        [refuses(5 * M, 5 * M + 2.9), refuses(5 * M + 30, 5 * M + 32.9)],
        [],
        lasts=12 * M,
        intervals=(30.0, 5.0),
        phases=(0.0, 0.3, 0.97),
    ),
    Story(
        "A single 503 among good answers pages nobody",
        [answers(503, 5 * M, 5 * M + 1.2)],
        [],
        lasts=10 * M,
        phases=(0.0, 0.2, 0.99),
    ),
    Story(
        "Three blips in ten minutes are a ticket and no page",
        [refuses(at * M, at * M + 1.5) for at in (5, 8, 11)],
        [ticket(11 * M, "health-unsteady", 2), closed(15 * M, "health-unsteady")],
        lasts=30 * M,
        phases=(0.58,),
    ),
    Story(
        "A dead API that answers one probe and dies again is one page",
        [refuses(10 * M, 15 * M + 17), refuses(15 * M + 19, 20 * M)],
        [page(10 * M), resolved(20 * M)],
        lasts=25 * M,
        intervals=(30.0, 5.0),
        phases=(0.0,),
    ),
    Story(
        "First refused, then hanging, then 503: one outage, one page",
        [refuses(10 * M, 12 * M), hangs(12 * M, 14 * M), answers(503, 14 * M, 16 * M)],
        [page(10 * M), resolved(16 * M, 45)],
        lasts=20 * M,
        intervals=(30.0, 5.0),
    ),
    Story(
        "A health check that says 500 while all else is well is an outage",
        [answers(500, 10 * M, 16 * M)],
        [page(10 * M), resolved(16 * M)],
        lasts=20 * M,
        metrics=True,
    ),
    Story(
        "Two outages an hour and more apart are two pages, each with its own end",
        [refuses(10 * M, 15 * M), refuses(80 * M, 85 * M)],
        [page(10 * M), resolved(15 * M), page(80 * M), resolved(85 * M)],
        nightly=True,
        lasts=90 * M,
        intervals=(60.0,),
    ),
    Story(
        "A target that never worked pages as soon as it is watched",
        [refuses(0, 10 * M)],
        [page(0), resolved(10 * M)],
        lasts=15 * M,
        intervals=(30.0, 5.0),
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
