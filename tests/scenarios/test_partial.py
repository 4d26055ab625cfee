"""A part of the service is broken: users notice, and three probes in a row don't."""

from __future__ import annotations

import pytest

from tests.scenarios.events import one_worker_fails, traffic
from tests.scenarios.stories import H, M, Story, Wanted, cases, check, closed, maybe, page, resolved, ticket
from tests.scenarios.worlds import HANGING, REFUSED, failing

UNSTEADY = "health-unsteady"


def blind(of: int) -> list[Wanted]:
    """When each turn fails and each repeat succeeds, nobody knows how quick the service is."""
    if of > 2:
        return []
    return maybe(ticket(14 * M, "no-data", 2 * M), closed(25 * M, "no-data", 2 * M))


STORIES = (
    *(
        Story(
            f"One of {of} workers {how}: a ticket about an unsteady service, and no page",
            [one_worker_fails(of, 5 * M, 25 * M, answer)],
            [ticket(6 * M, UNSTEADY, 19 * M), closed(25 * M, UNSTEADY, 14 * M), *blind(of)],
            lasts=45 * M,
        )
        for of, how, answer in (
            (4, "refuses", REFUSED),
            (4, "hangs", HANGING),
            (2, "answers 500", failing(500)),
            (5, "refuses", REFUSED),
        )
    ),
    Story(
        "One of four workers fails the requests of people: a page about errors, and a ticket",
        [
            one_worker_fails(4, 10 * M, 25 * M, failing(500)),
            traffic(0, 10 * M, 5),
            traffic(10 * M, 25 * M, 5, bad=0.25),
            traffic(25 * M, H, 5),
        ],
        [
            page(10 * M, 6 * M, name="error-rate"),
            resolved(25 * M, 8 * M, name="error-rate"),
            *maybe(ticket(10 * M, UNSTEADY, 15 * M), closed(25 * M, UNSTEADY, 20 * M)),
        ],
        lasts=50 * M,
        metrics=True,
    ),
    Story(
        "One of four workers is broken for an hour: the budget burns, and that pages",
        [one_worker_fails(4, 70 * M, 130 * M)],
        [
            ticket(70 * M, UNSTEADY, 20 * M),
            closed(130 * M, UNSTEADY, 25 * M),
            page(72 * M, 30 * M, name="availability-burn-1h"),
            resolved(130 * M, 10 * M, name="availability-burn-1h"),
        ],
        nightly=True,
        lasts=160 * M,
    ),
    Story(
        "One of forty workers fails: 2.5 % of the requests, and nobody is woken",
        [
            one_worker_fails(40, 10 * M, 25 * M, failing(500)),
            traffic(0, 10 * M, 5),
            traffic(10 * M, 25 * M, 5, bad=0.025),
            traffic(25 * M, H, 5),
        ],
        [],
        nightly=True,
        lasts=40 * M,
        metrics=True,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
