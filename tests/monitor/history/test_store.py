"""The store, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from monitor import history
from monitor.alerting import Key, State
from monitor.history import History
from monitor.notify.journal import settle, unsent
from monitor.notify.letters import Progress
from tests.monitor.history.making import entry, message, probe
from tests.monitor.making import FIRING


def rows(store: History, table: sa.Table) -> int:
    with store._engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def bodies(store: History) -> list[str]:
    return [letter.message.body for letter in unsent(store.engine)]


def test_create_leaves_what_is_there(store: History) -> None:
    store.record([entry()])
    store.create()
    assert rows(store, history.probe_results) == 1


def test_a_cycle_is_recorded_whole(store: History) -> None:
    store.record(
        [entry(changed=(FIRING,), standing=(FIRING,), messages=(message(), message(notifier="chat")))]
    )
    tables = (history.probe_results, history.alerts, history.transitions, history.outbox)
    assert [rows(store, table) for table in tables] == [1, 1, 1, 2]


def test_or_not_at_all(store: History) -> None:
    """The same alert twice breaks the primary key, late in the transaction of the second entry."""
    broken = entry(200.0, changed=(FIRING,), standing=(FIRING, FIRING), messages=(message(),))
    with pytest.raises(SQLAlchemyError):
        store.record([entry(messages=(message(),)), broken])
    tables = (history.probe_results, history.alerts, history.transitions, history.outbox)
    assert [rows(store, table) for table in tables] == [0, 0, 0, 0]


def test_alerts_come_back_as_they_were(store: History) -> None:
    pending = replace(FIRING, key=Key("pool-usage", "api", "metrics"), state=State.PENDING, fired_at=None)
    store.record([entry(standing=(FIRING, pending))])
    assert set(store.standing_alerts()) == {FIRING, pending}


def test_only_the_alerts_of_the_last_cycle_of_each_target_stand(store: History) -> None:
    elsewhere = replace(FIRING, key=FIRING.key._replace(target="web"))
    store.record([entry(standing=(FIRING,)), entry(target="web", standing=(elsewhere,))])
    store.record([entry(200.0)])
    assert store.standing_alerts() == [elsewhere]


def test_past_probes_come_back_in_order_without_the_throttled(store: History) -> None:
    store.record([entry(probes=(probe(3.0, "timeout"), probe(1.0), probe(2.0, "throttled"), probe(0.5)))])
    assert list(store.successes(since=1.0)) == [("api", "health", 1.0, True), ("api", "health", 3.0, False)]


def test_what_targets_say_can_be_stored_whatever_it_is(store: History) -> None:
    odd = "nul \0, half a pair \ud83d, quote ', 漢字"
    failed = probe(1.0, "body", detail=odd)
    odd_alert = replace(FIRING, reason=odd)
    store.record(
        [entry(probes=(failed,), changed=(odd_alert,), standing=(odd_alert,), messages=(message(odd),))]
    )
    assert store.standing_alerts() == [odd_alert]
    [body] = bodies(store)
    assert "漢字" in body


def test_long_names_are_no_reason_to_refuse_a_cycle(store: History) -> None:
    long = "x" * 2000
    store.record(
        [entry(target=long, probes=(probe(1.0, target=long, detail=long),), messages=(message(key=long),))]
    )
    assert rows(store, history.probe_results) == 1


def test_prune_keeps_what_waits_and_what_is_young(store: History) -> None:
    old, young = 1000.0, 1000.0 + history.KEEP_TRANSITIONS
    for at in (old, young):
        messages = (message(f"waits since {at}", f"1 {at}"), message("sent", f"2 {at}"))
        ids = store.record([entry(at, changed=(FIRING,), messages=messages)])
        settle(store.engine, [(ids[-1], Progress("delivered", 1, at, at, ""))])
    store.prune(young + 1)
    assert rows(store, history.probe_results) == 1
    assert rows(store, history.transitions) == 1
    assert bodies(store) == [f"waits since {old}", f"waits since {young}"]
    assert rows(store, history.outbox) == 3


def test_threads_may_record_at_once(store: History) -> None:
    threads = [
        threading.Thread(target=store.record, args=([entry(target=f"api {number}")],)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert rows(store, history.probe_results) == 8


def test_a_locked_sqlite_file_is_an_error_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 0.1)
    store = History(f"sqlite:///{tmp_path / 'history.db'}")
    store.create()
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OperationalError, match="locked"):
            store.record([entry()])
    store.record([entry()])
    assert rows(store, history.probe_results) == 1
    store.close()


def test_a_locked_postgresql_table_is_an_error_in_time(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 1.0)
    store = History(postgres_url)
    store.create()
    with contextlib.closing(psycopg2.connect(postgres_url)) as other:
        other.cursor().execute("LOCK TABLE probe_results")
        with pytest.raises(OperationalError, match="statement timeout"):
            store.record([entry()])
    store.record([entry()])
    assert rows(store, history.probe_results) == 1
    store.close()


def test_what_alerts_did_is_on_the_disk_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """SQLite in WAL mode leaves that to the operating system, unless it is asked."""
    made, asked = History(f"sqlite:///{tmp_path / 'history.db'}"), list[str]()
    made.create()
    sa.event.listen(
        made.engine, "before_cursor_execute", lambda *said: asked.append(said[2].replace("PRAGMA ", ""))
    )
    for each in (entry(1.0), entry(2.0, messages=(message(),)), entry(3.0)):
        made.record([each])
    made.close()
    said = [each for each in asked if each.startswith("synchronous")]
    assert said == ["synchronous=NORMAL", "synchronous=FULL", "synchronous=NORMAL"]
