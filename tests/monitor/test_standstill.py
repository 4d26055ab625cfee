"""The agent is suspended, its clock is set, its loop is blocked: nothing of that is the target's doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from monitor.config import Target
from monitor.judge import Verdict
from monitor.metrics import AgentMetrics
from monitor.schedule import Schedule
from tests.monitor.making import target
from tests.monitor.simulated import HANGS, REFUSED, WELL, Answer, Story, World, changed, down

DAY = 86400.0
JUMPS = [-DAY, -600.0, 120.0, 600.0, DAY]


def set_clock(world: World, at: float, by: float) -> None:
    """As soon as it is asked at that moment or later."""
    story = world.story

    def then(moment: float) -> Answer:
        if moment >= at and not world.shift:
            world.shift = by
        return story(moment)

    world.story = then


def play(story: Story, until: float, at: float, by: float, **settings: object) -> World:
    world = World(story, **settings)  # type: ignore[arg-type]
    try:
        set_clock(world, at, by)
        return world.run(until)
    finally:
        world.close()


def between_looks(story: Story, until: float, at: float, by: float) -> World:
    world = World(story)
    try:
        world.run(at)
        world.shift = by
        return world.run(until)
    finally:
        world.close()


@pytest.mark.parametrize("by", JUMPS)
@pytest.mark.parametrize("jumped", [play, between_looks])
def test_nobody_is_paged_about_a_target_that_is_well(by: float, jumped: Callable[..., World]) -> None:
    assert jumped(lambda _: WELL, 1200.0, 600.0, by).told == []


@pytest.mark.parametrize("by", JUMPS)
def test_a_look_during_which_the_clock_was_set_says_nothing_about_the_target(by: float) -> None:
    """Its connection broke when the machine woke up."""
    world = play(lambda at: REFUSED if at == 600.0 else WELL, 700.0, 600.0, by)
    assert world.told == []
    assert world.metric("probe_results_total", target="api", check="health", reason="connect") is None


@pytest.mark.parametrize("by", JUMPS)
def test_what_is_down_pages_all_the_same(by: float) -> None:
    """One look later: the next one tells."""
    world = between_looks(down((610.0, 5000.0)), 900.0, 600.0, by)
    [(at, state)] = world.pages()
    assert state == "firing"
    assert at <= 600.0 + 60.0 + 5.0


@pytest.mark.parametrize("by", JUMPS)
def test_what_fires_goes_on_and_is_resolved_when_it_is_good(by: float) -> None:
    world = between_looks(down((300.0, 900.0)), 1200.0, 600.0, by)
    assert [state for _, state in world.pages()] == ["firing", "resolved"]
    assert world.pages()[1][0] == pytest.approx(903.0, abs=1.0)


@pytest.mark.parametrize("by", JUMPS)
def test_what_was_pending_begins_anew(by: float) -> None:
    """Slow for 30 s, then nobody looked for long, then slow again: that is not slow for 2 min."""
    slow = Answer(takes=0.5)
    quick = changed("health-latency", window=60.0, minimum_samples=1)
    world = World(lambda at: slow if at > 540.0 else WELL, objectives=quick)
    try:
        world.run(599.0)
        world.shift = by
        world.run(700.0)
        assert world.pages("health-latency") == []
        world.run(900.0)
        assert world.pages("health-latency")
    finally:
        world.close()


def test_a_span_that_nobody_saw_is_unknown() -> None:
    world = World(lambda _: WELL)
    try:
        world.run(600.0)
        world.shift = 3600.0
        world.loop.run_until_complete(world.cycle.run(world.target))
        readings = world.cycle.conditions["api"].readings
        assert {each.verdict for each in readings} == {Verdict.UNKNOWN}
        assert "the agent itself was away or stood still for 1 h" in readings[0].why
    finally:
        world.close()


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_who_asked_to_be_left_alone_is_left_alone_as_long_as_that(by: float) -> None:
    busy = Answer(REFUSED.reason, status=429, retry_after=200.0)
    world = World(lambda at: busy if at == 600.0 else WELL)
    try:
        world.run(600.0)
        world.shift = by
        world.run(1200.0)
        soonest = next(at for at, _ in world.asked if at > 600.0)
        assert 600.0 < soonest <= 840.0
    finally:
        world.close()


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        pytest.param(HANGS._replace(stalled=0.3), True, id="a missed deadline, the time was given back"),
        pytest.param(HANGS._replace(stalled=11.0), False, id="stood still for more than the deadline"),
        pytest.param(REFUSED._replace(stalled=0.3), True, id="refused on a busy machine"),
        pytest.param(REFUSED._replace(stalled=2.0), False, id="hung up on us while we stood still"),
    ],
)
def test_a_blocked_loop(answer: Answer, counts: bool) -> None:
    world = World(down((60.0, 200.0), bad=answer))
    try:
        assert bool(world.run(150.0).pages()) is counts
    finally:
        world.close()


async def test_turns_are_planned_anew_when_the_clock_was_set() -> None:
    loop, shift = asyncio.get_running_loop(), 0.0
    ran: list[float] = []

    async def look(target: Target, *, again: bool = False) -> float | None:
        ran.append(loop.time())
        return None

    schedule = Schedule(look, AgentMetrics(CollectorRegistry()), lambda: time.time() + shift)
    schedule.start([target("api", interval=0.5)])
    before = [job.next_run_time for job in schedule._scheduler.get_jobs()]
    shift = -3600.0
    schedule._watch_clock()
    after = [job.next_run_time for job in schedule._scheduler.get_jobs()]
    assert (before[0] - after[0]).total_seconds() == pytest.approx(3600.0, abs=2.0)
    await schedule.stop()
