"""What a history or a Prometheus knows; and that nothing passes of which they know nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting import Alert, Key, State
from monitor.gate.from_history import FromHistory
from monitor.gate.from_prometheus import FromPrometheus
from monitor.gate.source import SourceError, parse_source
from monitor.history import Entry, History
from monitor.judge import Reading, Verdict
from monitor.objectives import load_objectives
from monitor.resources import resource
from tests.monitor.history.making import entry, probe
from tests.servers import free_port

OBJECTIVES = load_objectives(resource("alerts", "objectives.yml"))
NOW = 1_795_780_800.0
POOL, AVAILABILITY = OBJECTIVES.by_name("pool-usage"), OBJECTIVES.by_name("availability")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[History]:
    made = History(f"sqlite:///{tmp_path}/history.db")
    made.create()
    yield made
    made.close()


def seen(store: History, objective: Any = POOL, target: str = "", now: float = NOW) -> Any:
    url = store.engine.url.render_as_string(hide_password=False)
    return asyncio.run(FromHistory(url, target, lambda: now).seen(objective))


def firing(store: History, now: float = NOW) -> list[str] | None:
    url = store.engine.url.render_as_string(hide_password=False)
    return asyncio.run(FromHistory(url, "", lambda: now).firing())


def reading(at: float, value: float | None, verdict: Verdict = Verdict.OK) -> Reading:
    return Reading(POOL, "api", at, verdict, value, "4 of 10")


def cycle(at: float, **changes: object) -> Entry:
    return entry(at, probes=(probe(at, interval=30.0),), **changes)


def test_the_last_reading_counts(store: History) -> None:
    store.record([cycle(NOW - 120, readings=(reading(NOW - 120, 0.9, Verdict.BREACH),))])
    store.record([cycle(NOW - 30, readings=(reading(NOW - 30, 0.4),))])
    found = seen(store)
    assert (found.value, found.window) == (0.4, POOL.window)


def test_an_empty_history_knows_nothing(store: History) -> None:
    assert seen(store) is None
    assert seen(store, AVAILABILITY) is None
    assert firing(store) is None


def test_a_suspended_agent_knows_nothing_of_now(store: History) -> None:
    store.record([cycle(NOW - 3600, readings=(reading(NOW - 3600, 0.4),))])
    assert seen(store) is None
    assert firing(store) is None


def test_what_could_not_be_judged_is_nothing(store: History) -> None:
    store.record([cycle(NOW - 30, readings=(reading(NOW - 30, None, Verdict.UNKNOWN),))])
    assert seen(store) is None


def test_availability_takes_enough_probes(store: History) -> None:
    store.record([cycle(NOW - 30 * number) for number in range(100, 0, -1)])
    assert seen(store, AVAILABILITY) is None


def test_what_fires_but_for_advice(store: History) -> None:
    store.record([cycle(NOW - 60)])
    assert firing(store) == []
    alerts = tuple(
        Alert(
            key=Key(name, "api", "metrics"),
            severity=severity,
            title=name,
            state=State.FIRING,
            since=NOW - 60,
            last_broken=NOW - 31,
            fired_at=NOW - 50,
            value="97 %",
            threshold="above 80 %",
            reason="it is so",
            runbook="docs/runbooks/pool-usage.md",
        )
        for name, severity in (("pool-usage", "page"), ("scale-out-cpu", "info"))
    )
    store.record([cycle(NOW - 30, changed=alerts)])
    assert firing(store) == ["pool-usage: 97 %"]


def test_a_target_that_nobody_watches_is_an_error(store: History) -> None:
    store.record([cycle(NOW - 30)])
    with pytest.raises(SourceError, match="there is no target 'apy', only api"):
        seen(store, target="apy")


def test_a_history_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        asyncio.run(FromHistory(f"sqlite:///{tmp_path}/none.db", "").seen(POOL))
    (tmp_path / "other.db").touch()
    with pytest.raises(SourceError, match="no such table"):
        asyncio.run(FromHistory(f"sqlite:///{tmp_path}/other.db", "").seen(POOL))


def test_a_prometheus_that_is_down_is_an_error() -> None:
    down = FromPrometheus(f"http://127.0.0.1:{free_port()}", "")
    with pytest.raises(SourceError, match="Prometheus"):
        asyncio.run(down.seen(POOL))
    with pytest.raises(SourceError, match="Prometheus"):
        asyncio.run(down.firing())


def test_sources_as_they_are_written() -> None:
    assert parse_source("prometheus=http://127.0.0.1:9090/") == ("prometheus", "http://127.0.0.1:9090")
    assert parse_source("history") == ("history", "")
    for wrong in ("", "prometheus", "prometheus=9090", "history=x", "grafana"):
        with pytest.raises(ValueError, match="expected probes, history or prometheus=URL"):
            parse_source(wrong)
