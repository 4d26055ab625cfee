"""A verdict is only as good as its data: when it is UNKNOWN, and what it says about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sample import Sample, labels
from monitor.agent import retention
from monitor.alerting import Alerting
from monitor.confirming import Steadiness
from monitor.judge import Verdict, judge, judge_all
from monitor.objectives import Objective, Objectives, load_objectives
from monitor.quantity import parse_threshold
from monitor.resources import resource
from monitor.selector import parse_selector
from monitor.series import Memory
from monitor.slis import BurnRate, Ratio
from tests.monitor.making import objective, target

NOW = 1_700_000_000.0
API = target("api", interval=30.0)
LIMITED = objective("limited", breach=parse_threshold("above 5"), warn=parse_threshold("above 3"))


def remembering(*values: float, check: str = "metrics", ending: float = NOW, **pairs: str) -> Memory:
    """A gauge `m` of the API, once in 30 s, the last one at `ending`."""
    memory = Memory({"m": 1e6, "other": 1e6})
    for behind, value in zip(count(len(values) - 1, -1), values, strict=False):
        memory.remember("api", check, ending - 30.0 * behind, [Sample("m", labels(**pairs), value)])
    return memory


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.0, Verdict.OK),
        (3.0, Verdict.OK),
        (3.1, Verdict.WARN),
        (5.0, Verdict.WARN),
        (5.1, Verdict.BREACH),
        (float("inf"), Verdict.BREACH),
        (float("nan"), Verdict.UNKNOWN),
    ],
)
def test_verdicts(value: float, verdict: Verdict) -> None:
    reading = judge(LIMITED, remembering(value), API, NOW)
    assert reading.verdict is verdict
    assert not reading.blind


def test_a_reading_explains_itself() -> None:
    reading = judge(LIMITED, remembering(6.0, 7.25), API, NOW)
    assert (reading.target, reading.at, reading.value) == ("api", NOW, 7.25)
    assert reading.value_text == "7.25"
    assert reading.why == "newest value in the last 1 min"


def test_a_check_that_never_brought_data() -> None:
    reading = judge(LIMITED, Memory({"m": 60.0}), API, NOW)
    assert (reading.verdict, reading.value, reading.blind) == (Verdict.UNKNOWN, None, True)
    assert reading.why == "the metrics check has brought no data yet"
    assert reading.value_text == "no value"


@pytest.mark.parametrize(("age", "verdict"), [(0, "OK"), (90, "OK"), (90.1, "UNKNOWN"), (10_000, "UNKNOWN")])
def test_stale_after_three_intervals(age: float, verdict: str) -> None:
    patient = replace(LIMITED, window=1e6)
    reading = judge(patient, remembering(1.0, ending=NOW - age), API, NOW)
    assert reading.verdict == verdict
    assert reading.blind is (verdict == "UNKNOWN")


def test_stale_data_is_unknown_however_bad_it_was() -> None:
    reading = judge(replace(LIMITED, window=1e6), remembering(99.0, ending=NOW - 120), API, NOW)
    assert (reading.verdict, reading.value) == (Verdict.UNKNOWN, None)
    assert reading.why == "the metrics check last brought data 2 min ago"


def test_data_from_the_future_is_no_data() -> None:
    """The clock was set back: what is in memory tells of another time."""
    reading = judge(replace(LIMITED, window=1e6), remembering(1.0, 1.0, ending=NOW + 60), API, NOW)
    assert (reading.verdict, reading.blind) == (Verdict.UNKNOWN, True)
    assert reading.why == "the clock was set back by 1 min"


def test_another_check_of_the_target_does_not_count() -> None:
    memory = remembering(1.0, check="health")
    assert judge(LIMITED, memory, API, NOW).why == "the metrics check has brought no data yet"


def test_a_series_that_is_missing_from_the_page() -> None:
    wanted = Ratio(parse_selector('other{status=~"5.."}'), parse_selector("other"))
    reading = judge(objective("errors", sli=wanted), remembering(1.0), API, NOW)
    assert (reading.verdict, reading.blind) == (Verdict.UNKNOWN, True)
    assert reading.why == 'the metrics check brings no other{status=~"5.."} and other'


def test_too_few_samples_are_not_blindness() -> None:
    reading = judge(replace(LIMITED, minimum_samples=3, window=300.0), remembering(9.0, 9.0), API, NOW)
    assert (reading.verdict, reading.value, reading.blind) == (Verdict.UNKNOWN, 9.0, False)
    assert reading.why == "too little to judge: newest value in the last 5 min, at least 3 needed"


def test_a_breach_that_rests_on_too_few_failures_is_a_warning() -> None:
    burn = BurnRate(parse_selector("m"), slo=0.999, short_window=60.0, minimum_failures=2)
    burning = objective("burn", sli=burn, breach=parse_threshold("at least 14.4"), window=3600.0)
    assert judge(burning, remembering(1.0, 1.0, 0.0), API, NOW).verdict is Verdict.WARN
    assert judge(burning, remembering(1.0, 0.0, 0.0), API, NOW).verdict is Verdict.BREACH


def test_a_target_is_judged_by_what_its_checks_can_tell() -> None:
    both = Objectives((objective("a", check="health"), objective("b", check="metrics")), Path("made-up.yml"))
    web = target("web", checks=("health",))
    assert [reading.objective.name for reading in judge_all(both, Memory({}), web, NOW)] == ["a"]
    assert [reading.objective.name for reading in judge_all(both, Memory({}), API, NOW)] == ["a", "b"]


@given(values=st.lists(st.floats(width=32), max_size=5), age=st.floats(0, 1000), needed=st.integers(1, 5))
def test_never_green_without_fresh_and_sufficient_data(values: list[float], age: float, needed: int) -> None:
    demanding = replace(LIMITED, minimum_samples=needed, window=300.0)
    reading = judge(demanding, remembering(*values, ending=NOW - age), API, NOW)
    if age > 90 or len(values) < needed:
        assert reading.verdict is Verdict.UNKNOWN
    if reading.verdict is not Verdict.UNKNOWN:
        assert reading.value is not None


SHIPPED = load_objectives(resource("alerts/objectives.yml"))


def watched(results: Iterable[bool], objectives: Objectives = SHIPPED) -> list[tuple[int, str, str]]:
    """What the shipped objectives tell of a line of health probes, 30 s apart: (probe, state, alert)."""
    memory, alerting, told = Memory(retention(objectives)), Alerting(), []
    health, in_a_row = target("api", interval=30.0, checks=("health",)), 0
    place = labels(target="api", check="health")
    steadiness = Steadiness()
    for number, good in enumerate(results):
        now = NOW + 30.0 * number
        steadiness.began_to_fail.append(not good and in_a_row == 0)
        in_a_row = 0 if good else in_a_row + 1
        samples = [
            Sample("probe_success", place, float(good)),
            Sample("probe_consecutive_failures", place, float(in_a_row)),
            Sample("probe_recent_interruptions", place, float(steadiness.interruptions)),
            *([Sample("probe_last_duration_seconds", place, 0.01)] if good else []),
        ]
        memory.remember("api", "health", now, samples)
        changed = alerting.advance(judge_all(objectives, memory, health, now), now)
        told += [(number, str(alert.state), alert.key.name) for alert in changed]
    return told


@pytest.mark.parametrize("failures", ["x", "xx", "x.x", "xx.x"])
def test_one_or_two_failed_probes_page_nobody(failures: str) -> None:
    line = "." * 150 + failures + "." * 150
    assert watched(each == "." for each in line) == []


def test_three_failures_apart_are_a_ticket() -> None:
    told = watched(each == "." for each in "." * 150 + "x.x.x" + "." * 150)
    assert [each[1:] for each in told] == [("firing", "health-unsteady"), ("resolved", "health-unsteady")]
    assert SHIPPED.by_name("health-unsteady").severity == "ticket"


@pytest.mark.parametrize("before", [0, 5, 150])
@pytest.mark.parametrize("failures", [3, 4, 20])
def test_three_in_a_row_page_once_and_resolve_once(before: int, failures: int) -> None:
    line = "." * before + "x" * failures + "." * 200
    told = watched(each == "." for each in line)
    assert told == [(before + 2, "firing", "target-down"), (before + failures + 2, "resolved", "target-down")]


def test_a_target_that_fails_every_second_probe_is_found_by_its_burn_rate() -> None:
    told = watched(number % 2 == 0 or number < 150 for number in range(400))
    assert [each[1:] for each in told[:2]] == [
        ("firing", "health-unsteady"),
        ("firing", "availability-burn-1h"),
    ]
    assert 150 < told[1][0] < 170


def test_every_shipped_objective_is_unknown_without_data() -> None:
    readings = judge_all(SHIPPED, Memory(retention(SHIPPED)), API, NOW)
    assert len(readings) == len(SHIPPED)
    assert {reading.verdict for reading in readings} == {Verdict.UNKNOWN}
    assert all(reading.blind for reading in readings)


def names(objectives: Iterable[Objective]) -> list[str]:
    return [each.name for each in objectives]


def test_everything_but_target_down_is_silent_while_it_lasts() -> None:
    unsilenced = (each for each in SHIPPED if "target-down" not in SHIPPED.inhibitors(each))
    assert names(unsilenced) == ["target-down"]
