"""A store of release 0.1, which knew no roll-ups, is brought to the present version with all it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from monitor.history import History, NewerStoreError
from monitor.history.incidents import alert_json
from monitor.history.migrations import VERSION
from monitor.history.tables import schema_version
from tests.monitor.history.making import entry, probe
from tests.monitor.making import FIRING, RESOLVED

DAY = 86_400
RELEASE_0_1 = {
    "sqlite": ("INTEGER PRIMARY KEY", "FLOAT"),
    "postgresql": ("BIGSERIAL PRIMARY KEY", "DOUBLE PRECISION"),
}
TABLES = """
CREATE TABLE probe_results (
    id {id}, at {number} NOT NULL, target TEXT NOT NULL, "check" TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, duration {number} NOT NULL, status INTEGER
);
CREATE INDEX ix_probe_results_at ON probe_results (at);
CREATE TABLE alerts (
    name TEXT, target TEXT, "check" TEXT, alert TEXT NOT NULL, PRIMARY KEY (name, target, "check")
);
CREATE TABLE transitions (id {id}, at {number} NOT NULL, state TEXT NOT NULL, alert TEXT NOT NULL);
CREATE INDEX ix_transitions_at ON transitions (at);
CREATE TABLE outbox (
    id {id}, notifier TEXT NOT NULL, dedup_key TEXT NOT NULL, body TEXT NOT NULL,
    created_at {number} NOT NULL, due_at {number} NOT NULL, attempts INTEGER NOT NULL, state TEXT NOT NULL,
    error TEXT NOT NULL, ended_at {number}
);
CREATE INDEX ix_outbox_state ON outbox (state)
"""
PROBES = ({"at": 60, "reason": "ok"}, {"at": 90, "reason": "timeout"})


@pytest.fixture
def old(url: str) -> str:
    """The URL of a store as release 0.1 left it: two probes, an alert that came and one that stays."""
    engine = History(url).engine
    kinds = dict(zip(("id", "number"), RELEASE_0_1[engine.dialect.name], strict=True))
    again = replace(FIRING, fired_at=400.0)
    with engine.begin() as connection:
        for statement in TABLES.split(";"):
            connection.exec_driver_sql(statement.format(**kinds))
        insert = sa.text(
            'INSERT INTO probe_results (at, target, "check", reason, detail, duration, status) '
            "VALUES (:at, 'api', 'health', :reason, 'said', 0.25, 200)"
        )
        connection.execute(insert, PROBES)
        insert = sa.text("INSERT INTO transitions (at, state, alert) VALUES (:at, :state, :alert)")
        for alert, at in ((FIRING, 160.5), (RESOLVED, 300.0), (again, 400.0)):
            connection.execute(insert, {"at": at, "state": alert.state, "alert": alert_json(alert)})
    engine.dispose()
    return url


def test_release_0_1_keeps_its_rows_and_gets_roll_ups_and_incidents(old: str) -> None:
    store = History(old)
    store.create()
    bar = store.read.bars("api", "health", 0, DAY, DAY)[0]
    assert (bar.total, bar.failures, bar.worst_reason) == (2, 1, "timeout")
    assert bar.p95 == pytest.approx(0.25, rel=0.01)
    assert list(store.successes(0)) == [("api", "health", 60.0, True), ("api", "health", 90.0, False)]
    assert [(each.fired_at, each.resolved_at) for each in store.read.incidents(0, DAY)] == [
        (160.5, 300.0),
        (400.0, None),
    ]
    assert store.read.failures("api", 10)[0].detail == "said"
    store.record([entry(120.0, probes=(probe(120.0),))])
    assert store.read.uptime("api", 0, DAY).total == 3
    store.close()


def test_a_store_is_brought_up_once(old: str) -> None:
    for _ in range(2):
        store = History(old)
        store.create()
        assert store.read.uptime("api", 0, DAY).total == 2
        store.close()


def test_what_a_later_version_wrote_is_left_alone(store: History) -> None:
    with store.engine.begin() as connection:
        connection.execute(schema_version.update().values(version=VERSION + 1))
    with pytest.raises(NewerStoreError, match=f"version {VERSION + 1}.*up to {VERSION}: upgrade the program"):
        store.create()
