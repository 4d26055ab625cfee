"""What is read is what the raw rows would say, whichever roll-ups the answer is put together from."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
import sqlalchemy as sa

from monitor.conversations import Conversation
from monitor.history import History, ProbeRow
from monitor.history.reading import pieces
from monitor.history.rollup import DAY, HOUR, MINUTE
from monitor.history.tables import rollups
from monitor.judge import Reading, Verdict
from monitor.notify.journal import settle
from monitor.notify.letters import Progress
from tests.monitor.history.making import entry, message, probe
from tests.monitor.making import FIRING, RESOLVED, objective

MIDNIGHT = 1_790_000_000 // DAY * DAY


def two_days() -> list[ProbeRow]:
    """A minute in five, with failures and a gap of three hours."""
    dice = random.Random(7)
    times = [MIDNIGHT + 300.0 * turn for turn in range(2 * 288) if not 100 <= turn < 136]
    return [
        probe(at, dice.choice(("ok", "ok", "ok", "connect")), duration=dice.expovariate(5), interval=60.0)
        for at in times
    ]


def test_bars_of_any_step_hold_each_probe_once_and_show_the_gap(store: History) -> None:
    probes = two_days()
    store.record([entry(probes=tuple(probes))])
    for step in (MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY):
        bars = store.read.bars("api", "health", MIDNIGHT, MIDNIGHT + 2 * DAY, step)
        assert [bar.at for bar in bars] == list(range(MIDNIGHT, MIDNIGHT + 2 * DAY, step))
        for bar in bars:
            inside = [each for each in probes if bar.at <= each.at < bar.at + step]
            assert bar.total == len(inside)
            assert bar.failures == sum(each.reason != "ok" for each in inside)
        assert sum(bar.covered for bar in bars) == 60 * len(probes)
    hours = store.read.bars("api", "health", MIDNIGHT, MIDNIGHT + DAY, HOUR)
    assert [hour.total for hour in hours[8:13]] == [4, 0, 0, 8, 12]
    assert (hours[9].p95, hours[9].worst_reason, hours[9].phases) == (None, None, None)


@pytest.mark.parametrize(
    ("since", "until"), [(0, 2 * DAY), (3600, DAY + 60), (90 * 60, 50 * 60 * 60), (300, 600)]
)
def test_a_span_is_counted_to_the_minute(store: History, since: int, until: int) -> None:
    probes = two_days()
    store.record([entry(probes=tuple(probes))])
    inside = [each for each in probes if MIDNIGHT + since <= each.at < MIDNIGHT + until]
    good = sorted(each.duration for each in inside if each.reason == "ok")
    uptime = store.read.uptime("api", MIDNIGHT + since, MIDNIGHT + until)
    assert (uptime.total, uptime.failures) == (len(inside), len(inside) - len(good))
    p50 = store.read.latency("api", "health", MIDNIGHT + since, MIDNIGHT + until, 0.5)
    assert p50 == (pytest.approx(good[(len(good) + 1) // 2 - 1], rel=0.011) if good else None)


def test_where_minutes_are_gone_hours_answer(store: History) -> None:
    store.record([entry(probes=tuple(two_days()))])
    with store.engine.begin() as connection:
        old = sa.and_(rollups.c.span == MINUTE, rollups.c.at < MIDNIGHT + DAY)
        connection.execute(rollups.delete().where(old))
    bars = store.read.bars("api", "health", MIDNIGHT, MIDNIGHT + 4 * HOUR, 5 * MINUTE)
    assert [(bar.at - MIDNIGHT, bar.step, bar.total) for bar in bars] == [
        (hour * HOUR, HOUR, 12) for hour in range(4)
    ]
    assert store.read.uptime("api", MIDNIGHT, MIDNIGHT + HOUR).total == 12
    late = store.read.bars("api", "health", MIDNIGHT + DAY, MIDNIGHT + DAY + HOUR, 5 * MINUTE)
    assert [(bar.step, bar.total) for bar in late] == [(300, 1)] * 12


def test_nothing_is_known_of_strangers(store: History) -> None:
    assert store.read.checks() == []
    assert [bar.total for bar in store.read.bars("api", "health", 0, DAY, HOUR)] == [0] * 24
    assert store.read.latency("api", "health", 0, DAY, 0.95) is None
    assert store.read.uptime("api", 0, DAY).ratio is None
    assert store.read.phases("api", "health", 0, DAY) is None
    assert store.read.objective_series("api", "latency-p95", 0, DAY, HOUR) == []
    assert store.read.incidents(0, DAY) == []
    assert store.read.incident(1) is None
    assert store.read.failures("api", 10) == []


def test_too_many_steps_are_refused(store: History) -> None:
    with pytest.raises(ValueError, match="525,600 steps of 60 s are more than 10,000: take longer ones"):
        store.read.bars("api", "health", 0, 365 * DAY, 60)


def test_the_mean_phases_of_good_answers(store: History) -> None:
    fast, slow, failed = (0.0, 0.1, 0.2, 0.3, 0.4), (0.2, 0.1, 0.2, 0.5, 0.0), (9.0,) * 5
    rows = (probe(0.0, phases=fast), probe(30.0, phases=slow), probe(40.0, "timeout", phases=failed))
    store.record([entry(probes=rows)])
    assert store.read.phases("api", "health", 0, 60) == pytest.approx((0.1, 0.1, 0.2, 0.4, 0.2))
    assert store.read.failures("api", 1)[0].phases == failed


def test_objectives_by_day_are_put_together_from_hours(store: History) -> None:
    judged = objective("error-rate")
    verdicts = [Verdict.BREACH if hour == 30 else Verdict.OK for hour in range(48)]
    read = tuple(
        Reading(judged, "api", MIDNIGHT + hour * HOUR + 1.0, verdict, float(hour), "")
        for hour, verdict in enumerate(verdicts)
    )
    store.record([entry(readings=read)])
    assert store.read.objective_series("api", "error-rate", MIDNIGHT, MIDNIGHT + 2 * DAY, DAY) == [
        (MIDNIGHT, 0.0, 23.0, 23.0, Verdict.OK),
        (MIDNIGHT + DAY, 24.0, 47.0, 47.0, Verdict.BREACH),
    ]


def test_incidents_that_overlap_a_time(store: History) -> None:
    again = replace(FIRING, fired_at=400.0, since=390.0)
    for alert, at in ((FIRING, 160.5), (RESOLVED, 300.0), (again, 400.0)):
        store.record([entry(at, changed=(alert,), probes=())])
    first, second = store.read.incidents(0, 1000)
    assert (first.fired_at, first.resolved_at, first.lasted(1000.0)) == (160.5, 300.0, 199.75)
    assert (second.fired_at, second.resolved_at, second.lasted(1000.0)) == (400.0, None, 610.0)
    assert [each.id for each in store.read.incidents(200, 250)] == [first.id]
    assert [each.id for each in store.read.incidents(300, 400)] == []
    assert [each.id for each in store.read.incidents(500, 600, target="api")] == [second.id]
    assert store.read.incidents(0, 1000, target="web") == []
    assert store.read.incident(first.id) == first


def test_an_incident_that_ended_while_nobody_saw_it_begin_is_one_too(store: History) -> None:
    store.record([entry(300.0, changed=(RESOLVED,), probes=())])
    [only] = store.read.incidents(0, 1000)
    assert (only.fired_at, only.resolved_at, only.reason) == (160.5, 300.0, RESOLVED.reason)


def test_the_timeline_says_who_was_told(store: History) -> None:
    talk = Conversation(FIRING.key, "talk-1", 160.5, FIRING)
    told = entry(160.5, changed=(FIRING,), conversations=(talk,), messages=(message(key="talk-1"),))
    [row] = store.record([told])
    settle(store.engine, [(row, Progress("delivered", 1, 160.5, 162.0, ""))])
    [incident] = store.read.incidents(0, 1000)
    assert [event.what for event in incident.timeline] == [
        "began: 71 of 1000 requests in the last 5 min",
        "fired: 7.1 % (alert when above 5 %)",
        "told on-call",
    ]
    assert incident.severity == "page"


@pytest.mark.parametrize("finest", [MINUTE, HOUR])
def test_pieces_cover_a_time_once(finest: int) -> None:
    dice = random.Random(3)
    for _ in range(300):
        since = MIDNIGHT + dice.randrange(3 * DAY)
        until = since + dice.randrange(4 * DAY)
        found = sorted(pieces(since, until, finest), key=lambda piece: piece[1])
        assert all(start % span == 0 and end % span == 0 and start < end for span, start, end in found)
        assert all(before[2] == after[1] for before, after in pairwise(found))
        assert not found or (found[0][1] <= since < found[0][1] + finest)
        assert not found or (found[-1][2] - finest < until <= found[-1][2])
        assert sum((end - start) // span for span, start, end in found) <= 120 + 48 + 4
