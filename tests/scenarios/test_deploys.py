"""A deploy is no outage, and counters that begin anew are no news; a deploy that breaks something is."""

from __future__ import annotations

import pytest

from tests.scenarios.events import deploys, flow, refuses, traffic
from tests.scenarios.stories import H, M, Story, cases, check, closed, maybe, page, resolved, ticket

STORIES = (
    Story(
        "A restart of a second and a half for a deploy pages nobody",
        [traffic(0, H, 10), deploys(10 * M, 1.5)],
        [],
        lasts=15 * M,
        intervals=(30.0, 5.0),
        phases=(0.6, 0.0, 0.3),
        metrics=True,
    ),
    Story(
        "Three deploys in an hour under load: counters begin anew each time, and nobody is told",
        [traffic(0, H, 20, bad=0.02), *(deploys(at * M, 1.0, f"2.{at}") for at in (10, 20, 30))],
        [],
        nightly=True,
        lasts=40 * M,
        metrics=True,
        phases=(0.2, 0.6),
    ),
    Story(
        "A deploy that takes a minute is an outage, and its page names the new version",
        [traffic(0, H, 10), deploys(10 * M, 60.0)],
        [page(10 * M), resolved(11 * M)],
        lasts=20 * M,
        metrics=True,
        intervals=(30.0, 5.0),
    ),
    Story(
        "A deploy brings errors: one page about errors",
        [
            traffic(0, 10 * M, 10),
            deploys(10 * M),
            traffic(10 * M, 25 * M, 10, bad=0.2),
            deploys(25 * M, 1.0, "2.0.1"),
            traffic(25 * M, H, 10),
        ],
        [page(12 * M, 4 * M, name="error-rate"), resolved(26 * M, 8 * M, name="error-rate")],
        lasts=40 * M,
        metrics=True,
        phases=(0.6, 0.1),
    ),
    Story(
        "One instance crashes again and again, each time for two seconds: a ticket at most",
        [refuses(10 * M + n * 30, 10 * M + n * 30 + 2) for n in range(20)],
        maybe(ticket(10 * M, "health-unsteady", 10 * M), closed(20 * M, "health-unsteady")),
        lasts=35 * M,
        phases=(0.9, 0.0, 0.97),
    ),
    Story(
        "CPU counters that begin anew are no load",
        [flow("cpu", 0, H, 1.0), *(deploys(at * M) for at in (5, 6, 7, 8, 9))],
        [],
        lasts=15 * M,
        metrics=True,
        phases=(0.6,),
    ),
    Story(
        "CPU at 95 %: advice to scale out, to nobody's pager",
        [flow("cpu", 0, 5 * M, 1.0), flow("cpu", 5 * M, 25 * M, 3.8), flow("cpu", 25 * M, H, 1.0)],
        [
            ticket(7 * M, "autoscale-cpu"),
            closed(30 * M, "autoscale-cpu", 4 * M),
            ticket(10 * M, "scale-out-cpu"),
            closed(30 * M, "scale-out-cpu", 5 * M),
        ],
        nightly=True,
        lasts=40 * M,
        metrics=True,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
