"""What people's requests say: shares need enough of them, and a quiet night is no fault."""

from __future__ import annotations

import pytest

from tests.scenarios.events import answers, deploys, flow, level, refuses, torn_page, traffic
from tests.scenarios.stories import H, M, Story, cases, check, closed, page, resolved, ticket
from tests.scenarios.worlds import MEMORY, POOL

STORIES = (
    Story(
        "Three requests in five minutes, and one of them failed: nobody is woken",
        [traffic(0, H, 0.01), flow("bad", 10 * M, 10 * M + 10, 0.1)],
        [],
        lasts=25 * M,
        metrics=True,
    ),
    Story(
        "No requests at all, all night: that is no fault",
        [],
        [],
        lasts=2 * H,
        metrics=True,
        intervals=(60.0, 30.0),
    ),
    Story(
        "Six per cent of errors for ten minutes page once",
        [traffic(0, 5 * M, 10), traffic(5 * M, 15 * M, 10, bad=0.06), traffic(15 * M, H, 10)],
        [page(10 * M, 4 * M, name="error-rate"), resolved(15 * M, 5 * M, name="error-rate")],
        lasts=25 * M,
        metrics=True,
        phases=(0.0, 0.5),
    ),
    Story(
        "Four per cent of errors page nobody",
        [traffic(0, 5 * M, 10), traffic(5 * M, 20 * M, 10, bad=0.04), traffic(20 * M, H, 10)],
        [],
        lasts=25 * M,
        metrics=True,
    ),
    Story(
        "Ten seconds in which all requests fail are 3 % of five minutes, and page nobody",
        [traffic(0, 10 * M, 10), traffic(10 * M, 10 * M + 10, 10, bad=1.0), traffic(10 * M + 10, H, 10)],
        [],
        lasts=20 * M,
        metrics=True,
        phases=(0.0, 0.5),
    ),
    Story(
        "All requests fail while health checks pass: a page about errors",
        [traffic(0, 10 * M, 2), traffic(10 * M, 20 * M, 2, bad=1.0), traffic(20 * M, H, 2)],
        [page(12 * M, 90, name="error-rate"), resolved(20 * M, 8 * M, name="error-rate")],
        lasts=35 * M,
        metrics=True,
    ),
    Story(
        "Errors, and then no traffic any more: nobody knows that it is over, so it isn't",
        [traffic(0, 5 * M, 10), traffic(5 * M, 15 * M, 10, bad=0.5), traffic(45 * M, H, 10)],
        [page(7 * M, 2 * M, name="error-rate"), resolved(45 * M, 6 * M, name="error-rate")],
        lasts=55 * M,
        metrics=True,
    ),
    Story(
        "A tenth of the requests takes four seconds: a page about slowness, and no advice beside it",
        [traffic(0, 5 * M, 10), traffic(5 * M, 20 * M, 10, slow=0.1), traffic(20 * M, H, 10)],
        [page(8 * M, 4 * M, name="latency-p95"), resolved(20 * M, 7 * M, name="latency-p95")],
        lasts=35 * M,
        metrics=True,
    ),
    Story(
        "One slow request of a hundred is none of on-call's business",
        [traffic(0, H, 10, slow=0.01)],
        [],
        nightly=True,
        lasts=20 * M,
        metrics=True,
    ),
    Story(
        "The pool is at 96 % for ten minutes: a page after five",
        [level("pool", 5 * M, 0.96 * POOL), level("pool", 15 * M, 0.2 * POOL)],
        [page(10 * M, 60, name="pool-usage"), resolved(15 * M, 3 * M, name="pool-usage")],
        lasts=20 * M,
        metrics=True,
    ),
    Story(
        "The pool is full for four minutes: nobody is woken",
        [level("pool", 5 * M, POOL), level("pool", 9 * M, 0.2 * POOL)],
        [],
        nightly=True,
        lasts=16 * M,
        metrics=True,
    ),
    Story(
        "Memory leaks until it is short; a restart cures it: one page, one end",
        [
            level("memory", 5 * M, 0.7 * MEMORY, rising=0.0003 * MEMORY),
            level("memory", 25 * M, 0.4 * MEMORY),
            deploys(25 * M),
        ],
        [page(13 * M, 6 * M, name="memory-usage"), resolved(25 * M, 4 * M, name="memory-usage")],
        lasts=35 * M,
        metrics=True,
        phases=(0.6,),
    ),
    Story(
        "Somebody guesses passwords, 150 a minute: a page",
        [flow("logins", 0, H, 0.1), flow("logins", 10 * M, 16 * M, 2.4)],
        [page(11 * M, 3 * M, name="failed-logins"), resolved(16 * M, 4 * M, name="failed-logins")],
        lasts=25 * M,
        metrics=True,
    ),
    Story(
        "Ninety failed logins a minute are a Monday morning",
        [flow("logins", 5 * M, 20 * M, 1.5)],
        [],
        nightly=True,
        lasts=22 * M,
        metrics=True,
    ),
    Story(
        "Data on a disk, once: a page at once, which a restart ends",
        [flow("violations", 10 * M, 10 * M + 1, 1.0), deploys(20 * M)],
        [page(10 * M, 40, name="zero-storage"), resolved(20 * M, 4 * M, name="zero-storage")],
        lasts=30 * M,
        metrics=True,
        phases=(0.6,),
    ),
    Story(
        "A hundred and fifty requests wait: advice, to nobody's pager",
        [level("queue", 5 * M, 150.0), level("queue", 15 * M, 3.0)],
        [ticket(7 * M, "scale-out-queue", 60), closed(20 * M, "scale-out-queue", 3 * M)],
        nightly=True,
        lasts=25 * M,
        metrics=True,
    ),
    Story(
        "A torn metrics page for a quarter of an hour: one ticket that nobody knows, not ten",
        [torn_page(10 * M, 25 * M)],
        [ticket(15 * M, "no-data", 3 * M), closed(25 * M, "no-data", 2 * M)],
        lasts=35 * M,
        metrics=True,
    ),
    Story(
        "A torn metrics page for four minutes is nobody's business",
        [torn_page(10 * M, 14 * M)],
        [],
        lasts=20 * M,
        metrics=True,
    ),
    Story(
        "Only /metrics answers 500: a ticket, and no page while health checks pass",
        [answers(500, 10 * M, 25 * M, path="/metrics")],
        [ticket(15 * M, "no-data", 3 * M), closed(25 * M, "no-data", 2 * M)],
        nightly=True,
        lasts=32 * M,
        metrics=True,
    ),
    Story(
        "An API that is down explains its own missing numbers: one page, and no notice of missing data",
        [traffic(0, H, 10), refuses(10 * M, 30 * M)],
        [page(10 * M), resolved(30 * M)],
        lasts=40 * M,
        metrics=True,
        phases=(0.0, 0.5),
    ),
    Story(
        "Errors before it dies: a page about errors, a page about the outage, both end",
        [
            traffic(0, 5 * M, 10),
            traffic(5 * M, 12 * M, 10, bad=0.5),
            refuses(12 * M, 20 * M),
            traffic(20 * M, H, 10),
        ],
        [
            page(7 * M, 2 * M, name="error-rate"),
            page(12 * M),
            resolved(20 * M),
            resolved(20 * M, 8 * M, name="error-rate"),
        ],
        nightly=True,
        lasts=32 * M,
        metrics=True,
    ),
)


@pytest.mark.parametrize(("story", "interval", "phase"), cases(*STORIES))
def test_story(story: Story, interval: float, phase: float) -> None:
    check(story, interval, phase)
