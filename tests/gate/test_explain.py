"""The story of a report says what was seen, and what nobody knows."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from monitor.gate.explain import show, slowest_phase, story
from monitor.gate.model import Cause, Evidence, Report
from monitor.gate.sequential import Verdict
from tests.gate.reporting import ERRORS, EVERYTHING, GOOD, LOG_IN, P95, POOL, SLOW, report

MEMORY = dataclasses.replace(
    POOL,
    check="memory-usage",
    claim="less than 90 % of memory in use",
    verdict=Verdict.PASS,
    evidence=Evidence(source="prometheus", value="41 %"),
    runbook="",
)


def told(made: Report) -> str:
    written = io.StringIO()
    show(Console(file=written, width=200, color_system=None), made)
    return written.getvalue()


def test_a_slow_service_with_a_full_pool() -> None:
    said = told(report(P95, POOL, MEMORY, LOG_IN))
    assert "latency-p95: p95 below 3 s: not so" in said
    assert "96.5 % of their time went into waiting for the first byte. That points to the service" in said
    assert "pool-usage, fail: 100 %, bad is above 80 % (from prometheus, over 5 min)" in said
    assert "memory-usage, pass: 41 %" in said
    assert "latency-p95 waited for the first byte while pool-usage was past its limit" in said
    assert "that one caused the other is not shown" in said
    steps = said.partition("What to do first")[2]
    assert "(docs/runbooks/latency-p95.md)" in steps
    assert "(docs/runbooks/pool-usage.md)" in steps
    assert "What is not known" not in said


def test_it_does_not_invent() -> None:
    bare = dataclasses.replace(P95, asked=(dataclasses.replace(SLOW, phases={}, status=None),), runbook="")
    said = told(report(bare))
    assert "went into" not in said
    assert "Of pool the report says nothing." in said
    assert "Of memory the report says nothing." in said
    assert "1 x no answer" in said
    assert "in which phase the time went, for the report holds no phases" in said
    assert "What to do first" not in said
    assert "what to do first, for there is no runbook of it" in told(
        report(dataclasses.replace(P95, runbook=""))
    )


def test_a_good_state_explains_nothing() -> None:
    good = dataclasses.replace(POOL, verdict=Verdict.PASS, evidence=Evidence(value="12 %"))
    said = told(report(P95, good, MEMORY))
    assert "None of what was measured explains the waiting" in said
    assert "past its limit" not in said


def test_a_dead_target_is_one_story() -> None:
    down = dataclasses.replace(ERRORS, cause=Cause.TARGET_DOWN, said="connection refused")
    said = told(report(down, dataclasses.replace(down, check="log-in")))
    assert "UNREACHABLE: https://api.paciolus.com the target does not answer" in said
    assert "It does not answer\n  connection refused" in said
    assert said.count("docs/runbooks/target-down.md") == 1
    assert "Meanwhile" not in said


def test_everything_and_nothing() -> None:
    said = told(EVERYTHING)
    assert "memory-leak: memory grows by less than 1 MB a minute: not so, waived" in said
    assert "Of memory the report says nothing." not in said, "memory-leak is about it"
    assert "cors-origins: in which phase" not in said
    assert "home-page: not configured, so nobody looked." in said
    assert "error-rate: too few requests; 0 of 60 bad" in said
    assert "needs 34 more requests, about 17 s" in said
    assert [part.title for part in story(GOOD)] == [
        "PASS: https://api.paciolus.com may go out",
        "Meanwhile",
        "What is not known",
    ]


def test_a_phase_stands_out_or_there_is_none() -> None:
    even = dataclasses.replace(SLOW, phases={"dns": 1.0, "connect": 1.0, "first_byte": 1.1})
    assert slowest_phase([even]) is None
    assert slowest_phase([]) is None
    assert slowest_phase([dataclasses.replace(even, phases={"dns": 3.0, "tls": 1.0})]) == ("dns", 0.75)
