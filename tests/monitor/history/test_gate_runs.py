"""Runs of the release gate are kept, found again and pruned, on both databases."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from monitor.gate import runs
from monitor.history import History
from monitor.history.tables import gate_runs
from tests.gate.reporting import BEGAN, EVERYTHING, GOOD

DAY = 86_400
LATER = replace(EVERYTHING, began=BEGAN + 60, ended=BEGAN + 90)
ELSEWHERE = replace(GOOD, target="https://canary", profile="canary", began=BEGAN + 30, ended=BEGAN + 40)


def test_runs_come_back_the_newest_first(store: History) -> None:
    for each in (GOOD, ELSEWHERE, LATER):
        runs.add(store.engine, each)
    found = runs.since(store.engine, BEGAN)
    assert [(each.at, each.exit, each.passed) for each in found] == [
        (BEGAN + 60, 1, False),
        (BEGAN + 30, 0, True),
        (BEGAN, 0, True),
    ]
    assert found[0].summary == "2 passed, 3 failed, 2 inconclusive, 1 waived, 1 not configured"
    assert len(runs.since(store.engine, BEGAN + 1, most=1)) == 1
    assert [each.at for each in runs.since(store.engine, 0, ["https://canary"])] == [BEGAN + 30]
    assert [(each.target, each.exit) for each in runs.latest(store.engine)] == [
        (GOOD.target, 1),
        ("https://canary", 0),
    ]


def test_the_last_pass_is_a_baseline(store: History) -> None:
    assert runs.last_pass(store.engine, GOOD.target, GOOD.profile) is None
    for each in (GOOD, LATER):
        runs.add(store.engine, each)
    assert runs.last_pass(store.engine, GOOD.target, GOOD.profile) == GOOD
    assert runs.last_pass(store.engine, GOOD.target, "canary") is None
    with store.engine.begin() as connection:
        connection.execute(gate_runs.update().values(report='{"version": 0}'))
    assert runs.last_pass(store.engine, GOOD.target, GOOD.profile) is None


def test_what_targets_say_can_be_stored(store: History) -> None:
    runs.add(store.engine, EVERYTHING)
    [run] = runs.since(store.engine, 0)
    found = runs.report_of(store.engine, run.id)
    assert found is not None
    assert "cors-origins" in found
    assert runs.report_of(store.engine, 10**6) is None


def test_old_ones_are_forgotten(store: History) -> None:
    runs.add(store.engine, GOOD)
    store.prune(BEGAN + 399 * DAY)
    assert runs.since(store.engine, 0)
    store.prune(BEGAN + 401 * DAY)
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(gate_runs)).scalar_one() == 0
