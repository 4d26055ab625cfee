"""Is it real? The real cycle and schedule against a target that is told what to answer, in simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.monitor.simulated import BROKEN, BUSY, DOCUMENTED, HANGS, REFUSED, WELL, Answer, Story, World, down

INTERVALS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
ALONE = replace(DOCUMENTED, entries=(DOCUMENTED.by_name("target-down"),))


@contextmanager
def world(story: Story, **settings: Any) -> Iterator[World]:
    made = World(story, **settings)
    try:
        yield made
    finally:
        made.close()


def play(story: Story, until: float = 300.0, **settings: Any) -> World:
    with world(story, **settings) as made:
        return made.run(until)


def asked(played: World, since: float, until: float) -> list[float]:
    return [round(at, 1) for at, _ in played.asked if since <= at < until]


def test_a_failure_is_asked_again_twice_before_it_pages() -> None:
    played = play(down((60.0, 120.0)))
    assert asked(played, 60.0, 90.0) == [60.0, 61.5, 63.0]
    assert played.pages()[0] == (63.02, "firing")


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_single_failed_probe_never_pages(interval: float) -> None:
    failed = iter((True,))
    played = play(lambda at: REFUSED if at >= 60.0 and next(failed, False) else WELL, interval=interval)
    assert played.told == []


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("bad", [REFUSED, BROKEN, Answer(REFUSED.reason, takes=0.9)], ids=str)
def test_an_outage_of_less_than_three_seconds_never_pages(interval: float, bad: Answer) -> None:
    chance = Random(f"short {interval}")
    for _ in range(10):
        began = chance.uniform(50.0, 120.0)
        assert (
            play(down((began, began + 2.99), bad=bad), 200.0, interval=interval, objectives=ALONE).told == []
        )


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_dead_target_pages_within_its_interval_and_three_seconds(interval: float) -> None:
    chance = Random(f"dead {interval}")
    for _ in range(10):
        began = chance.uniform(50.0, 120.0)
        (at, state), *_ = play(down((began, 400.0)), 190.0, interval=interval, objectives=ALONE).pages()
        assert state == "firing"
        assert 3.0 <= at - began <= interval + 3.1


def test_a_target_that_hangs_is_asked_again_when_it_has_hung() -> None:
    played = play(down((60.0, 200.0), bad=HANGS))
    assert asked(played, 60.0, 125.0)[:3] == [60.0, 71.5, 83.0]
    assert played.pages()[0] == (93.02, "firing")


def test_short_outages_one_after_another_are_no_long_one() -> None:
    blips = tuple((start, start + 2.0) for start in (59.0, 64.0, 69.0, 74.0, 79.0, 84.0, 89.0))
    assert play(down(*blips), interval=5.0).pages() == []


@pytest.mark.parametrize("interval", [1.0, 5.0])
def test_a_turn_within_a_burst_is_neither_missed_nor_late(interval: float) -> None:
    played = play(down((60.0, 100.0)), interval=interval)
    assert played.metric("monitor_missed_runs_total", target="api") is None
    assert played.metric("monitor_lateness_seconds_sum") == pytest.approx(0.0, abs=1e-6)


def test_only_what_failed_is_asked_again() -> None:
    def story(at: float) -> Answer:
        return REFUSED if 60.0 <= at < 90.0 else Answer(body=b"m 1\n")

    played = play(story, 85.0, checks=("health", "metrics"))
    names = [name for at, name in played.asked if at >= 60.0]
    assert names == ["health", "metrics", "health", "health"]


def test_repeats_weigh_nothing_in_what_shares_are_computed_from() -> None:
    played = play(down((60.0, 89.0)), 90.0)
    kept = [row for entry in played.entries for row in entry.probes]
    assert [row.at - played.entries[0].at for row in kept] == [0.0, 30.0, 60.0, 90.0]
    [series] = played.memory.of("api").select(next(iter(_reads("availability"))))
    assert list(series.between(0.0, 2e9)[1]) == [1.0, 1.0, 0.0, 1.0]
    assert played.metric("probe_results_total", target="api", check="health", reason="connect") == 3


def _reads(name: str) -> Any:
    return DOCUMENTED.by_name(name).sli.reads


def test_recovery_is_confirmed_as_quickly() -> None:
    """The first good answer resolves nothing; three do, 1.5 s apart."""
    played = play(down((60.0, 149.0)))
    assert asked(played, 149.0, 180.0) == [150.0, 151.5, 153.0]
    assert played.pages() == [(63.02, "firing"), (153.02, "resolved")]


def test_one_lucky_answer_resolves_nothing() -> None:
    played = play(down((60.0, 150.0), (151.0, 299.0)), 400.0)
    assert played.pages() == [(63.02, "firing"), (303.02, "resolved")]


@pytest.mark.parametrize("alive", [0.25, 0.5])
def test_a_target_that_answers_now_and_then_is_one_page(alive: float) -> None:
    chance = Random(f"alive {alive}")
    played = play(lambda at: REFUSED if 60.0 <= at < 900.0 and chance.random() > alive else WELL, 1000.0)
    states = [state for _, state in played.pages()]
    assert states.count("firing") <= 3
    assert states[-1] == "resolved"


def test_one_instance_of_four_that_fails_is_a_ticket_and_no_page() -> None:
    """A balancer that takes turns: each fourth regular probe fails, its repeat meets another instance."""
    number = iter(range(10_000))
    played = play(lambda _: REFUSED if next(number) % 4 == 0 else WELL, 1800.0)
    assert {(each.name, each.state) for each in played.told} == {("health-unsteady", "firing")}


def test_three_failures_far_apart_are_nothing() -> None:
    blips = tuple((start, start + 1.0) for start in (60.0, 660.0, 1260.0))
    assert play(down(*blips), 2400.0).told == []


def test_a_long_outage_is_one_interruption() -> None:
    played = play(down((60.0, 400.0)), 1200.0)
    assert {each.name for each in played.told} == {"target-down"}
    assert played.metric("probe_recent_interruptions", target="api", check="health") == 0


def test_up_but_slow_is_a_warning_that_is_shown() -> None:
    played = play(lambda at: Answer(takes=4.0) if at == 600.0 else WELL, 600.0)
    [reading] = [r for r in played.cycle.conditions["api"].readings if r.objective.name == "health-latency"]
    assert reading.verdict == "WARN"
    assert reading.why == "median of 10 samples in the last 5 min; the last one 4 s"
    assert played.told == []


def test_spacing_is_shortened_with_the_windows() -> None:
    (at, state), *_ = play(down((60.0, 100.0)), 80.0, interval=1.0, shorten=20.0).pages()
    assert state == "firing"
    assert 60.15 <= at < 60.16


def test_being_asked_to_slow_down_ends_a_burst() -> None:
    """Failed once, then 429: nobody is asked again before the time that was asked for, and nothing counts."""

    def story(at: float) -> Answer:
        return REFUSED if 60.0 <= at < 61.0 else BUSY if 61.0 <= at < 100.0 else WELL

    played = play(story, 150.0)
    assert asked(played, 60.0, 200.0) == [60.0, 61.5, 150.0]
    assert played.told == []


@pytest.mark.parametrize("reason", ["too_large", "body", "timeout", "redirect", "status"])
def test_a_429_is_never_a_failure_however_its_body_ends(reason: Any) -> None:
    played = play(lambda _: Answer(reason, status=429), 600.0)
    assert played.pages() == []
    assert played.metric("probe_results_total", target="api", check="health", reason="throttled")
    assert played.metric("probe_consecutive_failures", target="api", check="health") is None
