"""Roll-ups hold what the raw rows say: however late, in whatever order, and whenever the agent dies."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.history import History, ProbeRow
from monitor.history.numbers import CHECK, Series
from monitor.history.pruning import KEEP_FAILURES, KEEP_ROLLUPS
from monitor.history.rollup import DAY, HOUR, MINUTE, NO_PHASES, Rollup, rolled
from monitor.history.rows import IGNORED
from monitor.history.tables import failures, outcomes, probe_results, rollups, series
from monitor.judge import Reading, Verdict
from tests.monitor.history.making import entry, probe
from tests.monitor.making import FIRING, objective

MIDNIGHT = 1_790_000_000 // DAY * DAY
API = Series(CHECK, "api", "health")
REASONS = ("ok", "ok", "ok", "timeout", "status", "throttled", "stalled")


def some_probes(dice: random.Random, many: int) -> list[ProbeRow]:
    """Over three hours, with a gap, in which the clock was set back."""
    times = [MIDNIGHT - 3600 + dice.random() * 3 * 3600 for _ in range(many)]
    return [
        probe(
            at if at < MIDNIGHT + 1800 else at + 3600,
            dice.choice(REASONS),
            duration=dice.lognormvariate(-4, 1),
            interval=dice.choice((5.0, 30.0, 300.0)),
            phases=tuple(dice.random() for _ in range(5)),
        )
        for at in times
    ]


def stored(store: History) -> dict[tuple[int, int], dict[str, object]]:
    with store.engine.connect() as connection:
        found = connection.execute(sa.select(rollups)).all()
    return {(row.span, row.at): rounded(Rollup.stored(row)) for row in found}


def rounded(rollup: Rollup) -> dict[str, object]:
    """Sums of floats depend on their order in the last digits."""
    counts = replace(rollup, phases=NO_PHASES).row() | {"reasons": sorted(rollup.reasons.items())}
    return {**counts, "phases": [f"{each:.9g}" for each in rollup.phases]}


def expected(probes: list[ProbeRow]) -> dict[tuple[int, int], dict[str, object]]:
    return {(span, at): rounded(each) for (span, _, at), each in rolled(probes, {API: 1}).items()}


@pytest.mark.parametrize("seed", range(3))
def test_any_order_in_any_batches_is_the_same(store: History, seed: int) -> None:
    dice = random.Random(seed)
    probes = some_probes(dice, 200)
    waiting = [entry(each.at, probes=(each,)) for each in probes]
    while waiting:
        many = dice.choice((1, 7, 60))
        store.record(waiting[:many])
        waiting = waiting[many:]
    assert stored(store) == expected(sorted(probes))


def test_what_is_not_recorded_is_not_rolled_up(store: History) -> None:
    broken = entry(200.0, standing=(FIRING, FIRING))
    with pytest.raises(SQLAlchemyError):
        store.record([entry(100.0), broken])
    assert stored(store) == {}
    store.record([entry(100.0)])
    assert stored(store) == expected([probe(100.0)])


def test_what_says_nothing_counts_for_nobody_and_is_no_data(store: History) -> None:
    store.record([entry(probes=tuple(probe(MIDNIGHT + 60 * i, reason) for i, reason in enumerate(IGNORED)))])
    [bar] = store.read.bars("api", "health", MIDNIGHT, MIDNIGHT + HOUR, HOUR)
    assert (bar.total, bar.failures, bar.ignored, bar.covered) == (0, 0, 2, 0)
    assert bar.p95 is None
    assert store.read.failures("api", 10) == []
    assert list(store.successes(0)) == []


def test_a_probe_speaks_until_the_next_is_due_even_in_the_next_hour(store: History) -> None:
    store.record([entry(probes=(probe(MIDNIGHT - 120.5, interval=300.0),))])
    before, after = store.read.bars("api", "health", MIDNIGHT - HOUR, MIDNIGHT + HOUR, HOUR)
    assert (before.total, before.covered) == (1, 180)
    assert (after.total, after.covered) == (0, 180)


def test_times_that_overlap_are_covered_once(store: History) -> None:
    for _ in range(2):
        store.record([entry(probes=tuple(probe(MIDNIGHT + 5 * i, interval=5.0) for i in range(24)))])
    assert store.read.uptime("api", MIDNIGHT, MIDNIGHT + HOUR).covered == 120


def test_readings_keep_lowest_highest_newest_and_worst(store: History) -> None:
    judged = objective("error-rate")
    verdicts = ((0.1, Verdict.OK), (0.9, Verdict.BREACH), (None, Verdict.UNKNOWN), (0.2, Verdict.WARN))
    late = Reading(judged, "api", MIDNIGHT + 1, Verdict.OK, 0.05, "")
    for i, (value, verdict) in enumerate(verdicts):
        read = Reading(judged, "api", MIDNIGHT + 10.0 * i, verdict, value, "")
        store.record([entry(readings=(read,))])
    store.record([entry(readings=(late,))])
    for step in (MINUTE, HOUR):
        [point] = store.read.objective_series("api", "error-rate", MIDNIGHT, MIDNIGHT + HOUR, step)
        assert point == (MIDNIGHT, 0.05, 0.9, 0.2, Verdict.BREACH)


def test_readings_without_a_value_are_kept_as_unknown(store: History) -> None:
    read = Reading(objective("error-rate"), "api", MIDNIGHT, Verdict.UNKNOWN, None, "", blind=True)
    store.record([entry(readings=(read,))])
    [point] = store.read.objective_series("api", "error-rate", MIDNIGHT, MIDNIGHT + 60, 60)
    assert point == (MIDNIGHT, None, None, None, Verdict.UNKNOWN)


def test_pruning_leaves_the_longer_spans_and_the_failures(store: History) -> None:
    old, now = float(MIDNIGHT), MIDNIGHT + KEEP_ROLLUPS[HOUR] - DAY
    store.record(
        [entry(old, probes=(probe(old), probe(old + 30, "timeout"))), entry(now, probes=(probe(now),))]
    )
    store.prune(now)
    assert sorted(span for span, *_ in stored(store)) == [MINUTE, HOUR, HOUR, DAY, DAY]
    with store.engine.connect() as connection:
        counts = [
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (probe_results, outcomes, failures)
        ]
    assert counts == [1, 1, 1]
    assert store.read.failures("api", 10)[0].at == old + 30


def test_the_newest_failures_of_each_check_are_kept(store: History) -> None:
    many = KEEP_FAILURES + 20
    store.record([entry(probes=tuple(probe(1000.0 + i, "timeout") for i in range(many)))])
    store.record([entry(probes=(probe(1.0, "status", check="home"),))])
    store.prune(2000.0)
    kept = store.read.failures("api", 10_000, check="health")
    assert [kept[0].at, kept[-1].at, len(kept)] == [1000.0 + many - 1, 1020.0, KEEP_FAILURES]
    assert [each.reason for each in store.read.failures("api", 10, check="home")] == ["status"]


def test_names_that_nothing_speaks_of_any_more_are_forgotten(store: History) -> None:
    store.record([entry(probes=(probe(0.0),)), entry(probes=(probe(2e9, target="web"),))])
    store.prune(2e9)
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(series.c.target)).scalars().all() == ["web"]
    store.record([entry(probes=(probe(2e9),))])
    assert store.read.uptime("api", 2e9 - DAY, 2e9 + DAY).total == 1


def test_no_table_is_read_from_end_to_end_to_add_or_to_prune(tmp_path: Path) -> None:
    """Each statement's plan, as SQLite explains it: a scan would make cycles dearer from month to month."""
    store = History(f"sqlite:///{tmp_path / 'history.db'}")
    store.create()
    statements: list[tuple[str, Any]] = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def listen(_1: object, _2: object, statement: str, parameters: Any, *_: object) -> None:
        statements.append((statement, parameters))

    read = tuple(Reading(objective(f"o-{i}"), "api", MIDNIGHT, Verdict.OK, 1.0, "") for i in range(3))
    store.record(
        [entry(MIDNIGHT + 40.0 * i, probes=(probe(MIDNIGHT + 40.0 * i),), readings=read) for i in range(9)]
    )
    store.prune(MIDNIGHT)
    asked = [each for each in statements if each[0].startswith(("SELECT", "DELETE"))]
    assert len(asked) >= 15
    large = ("SCAN rollups", "SCAN readings", "SCAN outcomes", "SCAN probe_results")
    with store.engine.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert not [step for step in plan if step[-1].startswith(large)], statement
    store.close()


def test_outcomes_are_those_of_a_time_as_they_came(store: History) -> None:
    """Those dated later than now came before the clock was set back."""
    times = (MIDNIGHT - 10.0, MIDNIGHT + 5.0, MIDNIGHT + 90.0, MIDNIGHT + 20.0)
    store.record([entry(probes=(probe(at, "ok" if at < MIDNIGHT else "timeout"),)) for at in times])
    [past] = store.outcomes(MIDNIGHT - 10.0, MIDNIGHT + 60.0)
    assert (list(past.times), list(past.values)) == ([times[0], times[1], times[3]], [1.0, 0.0, 0.0])
    assert past.failures_in_a_row == 2
