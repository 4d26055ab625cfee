from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry

from monitor.config import Target
from monitor.metrics import AgentMetrics
from monitor.schedule import SLOTS, Schedule, slots
from tests.monitor.making import target
from tests.servers import eventually

API = target("api", interval=30.0)


def many(count: int, interval: float = 30.0) -> list[Target]:
    return [target(f"target {number}", interval=interval) for number in range(count)]


class Watch:
    """A schedule that is fired by hand, at times that the test chooses; `busy` keeps cycles from ending."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.metrics = AgentMetrics(CollectorRegistry())
        self.ran: list[tuple[str, float]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.schedule = Schedule(self.cycle, self.metrics, lambda: self.now)

    async def cycle(self, target: Target, *, again: bool = False) -> float | None:
        self.ran.append((target.name, self.now))
        await self.free.wait()
        return None

    async def fire(self, *times: float, slot: list[Target] | None = None) -> None:
        for self.now in times:
            await self.schedule.fire(slot or [API], 30.0, 1000.0)
            await self.settled()

    async def settled(self) -> None:
        """Gives every cycle the few turns of the event loop that it takes."""
        for _ in range(5):
            await asyncio.sleep(0)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def test_ten_thousand_targets_make_at_most_a_hundred_jobs() -> None:
    spread = slots(many(10_000))
    assert len(spread) <= SLOTS == 100
    assert sum(map(len, spread.values())) == 10_000
    assert max(map(len, spread.values())) < 2 * 10_000 / SLOTS


def test_slots_are_spread_evenly_over_each_interval() -> None:
    spread = slots([*many(5_000, 10.0), *many(5_000, 60.0)])
    for interval in (10.0, 60.0):
        offsets = sorted(offset for each, offset in spread if each == interval)
        assert offsets[0] >= 0
        assert offsets[-1] < interval
        assert all(later - earlier == pytest.approx(interval / SLOTS) for earlier, later in pairwise(offsets))


def test_a_target_keeps_its_phase_whatever_else_is_watched() -> None:
    def phase(targets: list[Target]) -> float:
        return next(offset for (_, offset), slot in slots(targets).items() if API in slot)

    assert len({phase([*many(count), API]) for count in (0, 1, 7, 99, 100, 1000)}) == 1


def test_nothing_to_watch_is_nothing_to_do() -> None:
    assert slots([]) == {}


async def test_a_busy_target_is_left_alone_and_counted() -> None:
    watch = Watch()
    watch.free.clear()
    await watch.fire(1000.0, 1030.0, 1060.0)
    assert watch.ran == [("api", 1000.0)]
    assert watch.metric("monitor_missed_runs_total", target="api") == 2
    watch.free.set()
    await watch.settled()
    await watch.fire(1090.0)
    assert watch.ran == [("api", 1000.0), ("api", 1090.0)]
    assert watch.metric("monitor_missed_runs_total", target="api") == 2


async def test_one_busy_target_does_not_hold_up_its_slot() -> None:
    watch = Watch()
    watch.free.clear()
    await watch.fire(1000.0)
    await watch.fire(1030.0, slot=[API, *many(3)])
    assert [name for name, _ in watch.ran] == ["api", *(each.name for each in many(3))]
    watch.free.set()


async def test_turns_that_never_came_are_counted() -> None:
    watch = Watch()
    await watch.fire(1000.0, 1030.0, 1125.0)
    assert watch.metric("monitor_missed_runs_total", target="api") == 2
    assert len(watch.ran) == 3


@pytest.mark.parametrize("late", [0.0, 0.25, 29.0])
async def test_lateness_is_measured_from_the_turn_that_was_due(late: float) -> None:
    watch = Watch()
    await watch.fire(1300.0 + late)
    assert watch.metric("monitor_lateness_seconds_sum") == pytest.approx(late)
    assert watch.metric("monitor_lateness_seconds_count") == 1


async def test_a_broken_cycle_does_not_end_the_watch() -> None:
    watch = Watch()

    async def broken(target: Target, *, again: bool = False) -> None:
        raise ZeroDivisionError

    watch.schedule = Schedule(broken, watch.metrics, lambda: watch.now)
    await watch.fire(1000.0, 1030.0)
    assert watch.metric("monitor_cycle_errors_total") == 2
    assert watch.metric("monitor_last_success_timestamp_seconds") == 0
    assert watch.metric("monitor_missed_runs_total", target="api") is None


async def test_a_good_cycle_is_a_sign_of_life() -> None:
    watch = Watch()
    await watch.fire(1000.0, 1030.0)
    assert watch.metric("monitor_last_success_timestamp_seconds") == 1030.0
    assert watch.metrics.last_cycle_at == 1030.0


async def test_it_runs_by_the_real_clock() -> None:
    ran: Counter[str] = Counter()

    async def cycle(target: Target, *, again: bool = False) -> None:
        ran[target.name] += 1

    metrics = AgentMetrics(CollectorRegistry())
    schedule = Schedule(cycle, metrics, time.time)
    schedule.start(many(20, interval=0.2))
    await eventually(lambda: len(ran) == 20 and min(ran.values()) >= 2)
    assert metrics.registry.get_sample_value("monitor_lateness_seconds_count") == ran.total()
    await schedule.stop()
    await asyncio.sleep(0)
    ended = ran.total()
    await asyncio.sleep(0.3)
    assert ran.total() == ended


async def test_stop_ends_cycles_under_way() -> None:
    ended: list[str] = []

    async def cycle(target: Target, *, again: bool = False) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(target.name)

    schedule = Schedule(cycle, AgentMetrics(CollectorRegistry()), time.time)
    schedule.start([target("api", interval=0.2)])
    await eventually(lambda: schedule._running)
    await asyncio.sleep(0)
    await schedule.stop()
    assert ended == ["api"]


@pytest.mark.alone
async def test_targets_that_stay_keep_their_turns_however_often_others_come_and_go() -> None:
    """Neither a burst, nor a turn left out."""
    ran: dict[str, list[float]] = defaultdict(list)

    async def cycle(target: Target, *, again: bool = False) -> None:
        ran[target.name].append(asyncio.get_running_loop().time())

    interval, stay = 0.4, many(10, interval=0.4)
    schedule = Schedule(cycle, AgentMetrics(CollectorRegistry()), time.time)
    schedule.start(stay)
    began = asyncio.get_running_loop().time()
    for number in range(40):
        await asyncio.sleep(0.05)
        others = [target(f"other {number} {each}", interval=interval) for each in range(5)]
        schedule.replan([*stay, *others], anew=())
    passed = asyncio.get_running_loop().time() - began
    assert len(schedule._jobs) <= 15
    schedule.replan([], anew=())
    assert not schedule._jobs
    assert not schedule._turns
    await schedule.stop()
    for each in stay:
        times = ran[each.name]
        assert passed / interval - 1 <= len(times) <= passed / interval + 1, each.name
        assert all(later - earlier > interval / 2 for earlier, later in pairwise(times)), each.name


@pytest.mark.parametrize("instead", [[], [replace(API, interval=60.0)]], ids=["gone", "another interval"])
async def test_a_turn_that_comes_after_its_slot_was_given_up_is_none(instead: list[Target]) -> None:
    """APScheduler begins a turn as a task, and a reload may come before it."""
    watch = Watch()
    watch.schedule._targets = {each.name: each for each in instead}
    await watch.fire(1000.0)
    assert not watch.ran
    assert not watch.schedule._turns


async def test_who_is_new_waits_for_the_slot_of_its_name() -> None:
    ran: dict[str, float] = {}
    interval = 0.5

    async def cycle(target: Target, *, again: bool = False) -> None:
        ran.setdefault(target.name, time.time())

    schedule = Schedule(cycle, AgentMetrics(CollectorRegistry()), time.time)
    schedule.start([target("first", interval=interval)])
    await asyncio.sleep(0.1)
    added = time.time()
    schedule.replan(many(40, interval=interval), anew=())
    await eventually(lambda: len(ran.keys() - {"first"}) == 40)
    await schedule.stop()
    late = sorted(at - added for name, at in ran.items() if name != "first")
    assert late[-1] - late[0] > interval / 2
    assert late[-1] < 2 * interval + 0.5


async def test_what_waits_for_another_look_is_let_go_with_its_target() -> None:
    watch = Watch()
    looks: list[str] = []

    async def unsure(target: Target, *, again: bool = False) -> float:
        looks.append(target.url)
        return 0.05

    watch.schedule = Schedule(unsure, watch.metrics, lambda: watch.now)
    watch.schedule._targets = {"api": API}
    await watch.fire(1000.0)
    moved = replace(API, url="http://elsewhere")
    watch.schedule.replan([moved], anew=["api"])
    await eventually(lambda: len(looks) >= 2)
    assert looks[:2] == [API.url, "http://elsewhere"]
    watch.schedule.replan([], anew=())
    seen = len(looks)
    await asyncio.sleep(0.15)
    assert len(looks) == seen
    assert not watch.schedule._again
