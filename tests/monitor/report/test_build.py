"""A month's numbers, against those counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.history import History, ProbeRow
from monitor.objectives import Objectives, load_objectives
from monitor.report import Month, Report, build, parse_month
from monitor.report.month import month_before
from monitor.resources import resource
from tests.monitor.history.making import entry, probe
from tests.monitor.making import FIRING, RESOLVED

OCTOBER = Month(2026, 10)
DAY, HOUR = 86_400, 3600
LONG_AFTER = OCTOBER.until + 90 * DAY


@pytest.fixture(scope="module")
def objectives() -> Objectives:
    return load_objectives(resource("alerts", "objectives.yml"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[History]:
    made = History(f"sqlite:///{tmp_path / 'history.db'}")
    made.create()
    yield made
    made.close()


def every(minutes: int, since: float, until: float, reason: str = "ok", **changes: object) -> list[ProbeRow]:
    times = range(int(since), int(until), 60 * minutes)
    return [probe(float(at), reason, interval=60.0 * minutes, **changes) for at in times]


def report(store: History, objectives: Objectives, *probes: ProbeRow, now: float = LONG_AFTER) -> Report:
    store.record([entry(probes=probes)])
    return build(store.read, objectives, OCTOBER, now, [("api", "health")])


def test_uptime_budget_and_no_data(store: History, objectives: Objectives) -> None:
    """Two days with data, an hour of them down; the rest of the month the agent did not run."""
    begin = OCTOBER.since
    down = every(10, begin + DAY, begin + DAY + HOUR, "connect")
    up = [*every(10, begin, begin + DAY), *every(10, begin + DAY + HOUR, begin + 2 * DAY)]
    [service] = report(store, objectives, *up, *down).services
    assert (service.total, service.failures, service.reasons) == (288, 6, (("connect", 6),))
    assert service.uptime == pytest.approx(1 - 6 / 288)
    assert (service.covered, service.no_data) == (2 * DAY, 29 * DAY)
    assert service.budget is not None
    assert service.budget.objective == objectives.by_name("availability").breach.value
    assert service.budget.allowed == pytest.approx(31 * DAY * 0.001)
    assert service.budget.spent == pytest.approx(HOUR)
    assert not service.budget.met
    assert [bar.total for bar in service.days[:4]] == [144, 144, 0, 0]


def test_what_says_nothing_is_no_data(store: History, objectives: Objectives) -> None:
    begin = OCTOBER.since
    ours = every(1, begin + HOUR, begin + 2 * HOUR, "stalled")
    theirs = every(1, begin + 2 * HOUR, begin + 3 * HOUR, "throttled")
    [service] = report(store, objectives, *every(1, begin, begin + HOUR), *ours, *theirs).services
    assert (service.uptime, service.total, service.ignored, service.covered) == (1.0, 60, 120, HOUR)


def test_a_check_without_a_single_probe_is_listed_as_unknown(store: History, objectives: Objectives) -> None:
    [service] = report(store, objectives).services
    assert (service.uptime, service.budget, service.no_data) == (None, None, 31 * DAY)


def test_only_probes_of_the_month_in_utc_count(store: History, objectives: Objectives) -> None:
    edges = [probe(at) for at in (OCTOBER.since - 1, OCTOBER.since, OCTOBER.until - 1, OCTOBER.until)]
    assert report(store, objectives, *edges).services[0].total == 2


def test_a_month_that_goes_on_ends_now(store: History, objectives: Objectives) -> None:
    now = OCTOBER.since + DAY
    found = report(store, objectives, *every(5, OCTOBER.since, now), now=now)
    assert (found.complete, found.until) == (False, now)
    assert found.services[0].no_data == 0
    assert found.services[0].budget is not None
    assert found.services[0].budget.allowed == pytest.approx(31 * DAY * 0.001)


def test_the_slowest_hours_have_enough_answers(store: History, objectives: Objectives) -> None:
    begin = OCTOBER.since
    slow = every(5, begin + 5 * HOUR, begin + 6 * HOUR, duration=2.0)
    lonely = every(30, begin + 9 * HOUR, begin + 10 * HOUR, duration=9.0)
    usual = [*every(5, begin, begin + 5 * HOUR), *every(5, begin + 6 * HOUR, begin + 9 * HOUR)]
    hours = report(store, objectives, *slow, *usual, *lonely).services[0].slowest_hours
    assert len(hours) == 5
    assert hours[0].at == begin + 5 * HOUR
    assert hours[0].p95 == pytest.approx(2.0, rel=0.01)


def test_incidents_count_within_the_month_only(store: History, objectives: Objectives) -> None:
    before, after = OCTOBER.since - HOUR, OCTOBER.until + HOUR
    long = replace(RESOLVED, since=before, fired_at=before, resolved_at=after)
    open_ = replace(FIRING, since=OCTOBER.until - 600, fired_at=OCTOBER.until - 540)
    later = replace(FIRING, since=after, fired_at=after)
    store.record(
        [
            entry(at, changed=(each,), probes=())
            for at, each in ((after, long), (after, open_), (after, later))
        ]
    )
    found = report(store, objectives)
    assert [found.duration(each) for each in found.incidents] == [31 * DAY, 600]


def test_services_without_data_nor_configuration_are_left_out(store: History, objectives: Objectives) -> None:
    past = probe(OCTOBER.since - 40 * DAY, target="gone")
    found = report(store, objectives, past, *every(5, OCTOBER.since, OCTOBER.since + HOUR, target="web"))
    assert [each.target for each in found.services] == ["api", "web"]


@pytest.mark.parametrize(
    "written", ["2026-13", "2026-00", "26-10", "October", "2026-1", "", "2026-10-01", "0000-01"]
)
def test_what_is_no_month(written: str) -> None:
    with pytest.raises(ValueError, match="expected a month such as 2026-10, got"):
        parse_month(written)


def test_months_follow_each_other() -> None:
    assert parse_month("2026-12").next == Month(2027, 1)
    assert month_before(Month(2026, 1).since) == Month(2025, 12)
    assert month_before(Month(2026, 1).since - 1) == Month(2025, 11)
    assert Month(2024, 2).until - Month(2024, 2).since == 29 * DAY
