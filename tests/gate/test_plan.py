"""What is said before anything is asked."""

from __future__ import annotations

import pytest

from monitor.gate.command import loaded, planned
from monitor.gate.plan import Claim, Fixed, plan

SHIPPED = loaded(None, None)
P95, ERRORS = Claim("latency-p95", 0.05, 0.08), Claim("error-rate", 0.05, 0.05)


def test_requests_time_and_power_are_told_beforehand() -> None:
    head, first, second, total = plan([P95, ERRORS], 400, 120).splitlines()
    assert head.split("  ")[0] == "check"
    assert [each.strip() for each in first.split("  ") if each] == [
        "latency-p95",
        "5 %",
        "130, at most 191",
        "10 s, at most 15 s",
        "passes 96.1%",
        "passes 4.9%",
        "fails 99.7%",
    ]
    assert head.index("at the limit") == second.index("passes 4.9%")
    assert total == "In all at most 382 requests of 400; 17 s, at most 25 s of 2 min."


def test_what_is_not_sampled_takes_requests_and_time_too() -> None:
    fixed = [Fixed("memory-leak", 180, 30.0, 90.0), Fixed("one-secret", 20), Fixed("hsts", 3)]
    lines = plan([ERRORS], 400, 120, fixed, seconds=0.1).splitlines()
    assert lines[2:] == [
        "memory-leak: 180 requests at most, over 30 s, at most 1 min 30 s",
        "2 other checks: about 23 requests",
        "In all at most 394 requests of 400; 39 s, at most 1 min 42 s of 2 min.",
    ]


def test_what_does_not_fit_is_said_with_what_would() -> None:
    text = plan([P95, ERRORS], 300, 20)
    assert "--max-requests 382 is enough" in text
    assert "--max-time 25s is enough" in text


def test_in_the_worst_case_the_last_checks_are_cut_and_named() -> None:
    order = ("ready", "latency-p95", "error-rate", "memory-leak", "burst", "firing-alerts")
    fixed = [Fixed("memory-leak", 180, 30.0, 90.0), Fixed("ready", 2), Fixed("firing-alerts", 2)]
    both = Claim("latency-p95 and error-rate", 0.05, 0.1)
    lines = plan([both, Claim("burst", 0.05, 0.01)], 600, 100, fixed, 0.1, order).splitlines()
    assert lines[-2:] == [
        "It may run out of time before all is decided: --max-time 112s is enough.",
        "In the worst case these are inconclusive, for lack of time: memory-leak, burst, firing-alerts.",
    ]
    assert not any("lack of time" in each for each in plan([both], 600, 120, fixed, 0.1, order).splitlines())


def test_a_baseline_takes_time_and_requests_of_its_own() -> None:
    enough = plan([P95], 600, 120, seconds=0.1, pairs=305).splitlines()[-1]
    assert enough == (
        "With --baseline 305 requests more, and as many to a baseline's URL: 30 s, or 1 min 1 s with a URL."
    )
    short = plan([P95], 400, 60, seconds=0.1, pairs=305)
    assert short.endswith(" Give it --max-time 77s and --max-requests 496 then.")


@pytest.mark.parametrize("name", SHIPPED.profiles)
def test_the_shipped_profiles_are_done_in_time_even_in_the_worst_case(name: str) -> None:
    said = planned(SHIPPED.profiles[name], SHIPPED, 0.1)
    assert "In all at most" in said
    assert "run out" not in said
    assert "lack of time" not in said


def test_what_cannot_be_shown_in_minutes_is_read_from_history() -> None:
    text = plan([Claim("availability", 0.001, 0.05)], 400, 120)
    assert text.startswith("availability: to show a share below 0.100% takes more than 5000 requests")
    assert "read it from history" in text
