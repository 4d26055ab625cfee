"""What a gate would have said in the past is what it said then; on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.alerting import Alert, Key, State
from monitor.gate.cli import app
from monitor.gate.config import Profile, load_gate
from monitor.gate.from_history import FromHistory
from monitor.gate.model import Exit
from monitor.gate.replay import AsOf, Replay, longest_window, moments, replay
from monitor.gate.replay_command import Asked, run
from monitor.gate.replayed import as_json, text
from monitor.gate.sequential import Verdict
from monitor.gate.stretch import loaded
from monitor.history import Entry, History
from monitor.history.rollup import HOUR
from monitor.judge import Reading
from monitor.judge import Verdict as Judged
from monitor.objectives import Objectives, load_objectives
from monitor.resources import resource
from tests.monitor.history.making import entry, probe

NOW = 1_795_780_800.0
HOURS = 8
BEGAN = NOW - HOURS * HOUR
FILE = load_objectives(resource("alerts", "objectives.yml"))
SHORT = dataclasses.replace(FILE.by_name("availability"), minimum_samples=100)
FEW = Objectives(tuple(SHORT if each.name == SHORT.name else each for each in FILE), FILE.path)
CONFIG = dataclasses.replace(load_gate(resource("alerts", "gate.yml"), FILE, {}), objectives=FEW)
POOL = FEW.by_name("pool-usage")
PROFILE = Profile("test", ("ready", "pool-usage", "firing-alerts", "error-budget"), 60, 100, 100)
SILENT, FULL = range(3, 4), range(5, 7)
"""Hours in which the agent stood still, and at whose end the pool was full."""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    sqlite = f"sqlite:///{tmp_path}/history.db"
    made = History(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    made.create()
    yield made
    made.close()


def alert(at: float, resolved: float | None = None) -> Alert:
    return Alert(
        key=Key("target-down", "api", "health"),
        severity="page",
        title="down",
        state=State.FIRING if resolved is None else State.RESOLVED,
        since=at,
        last_broken=at,
        fired_at=at,
        resolved_at=resolved,
        value="3 failures",
        threshold="3",
        reason="refused",
        runbook="docs/runbooks/target-down.md",
    )


DOWN = BEGAN + 2 * HOUR + 1207.5
FIRED, RESOLVED = alert(DOWN), alert(DOWN, BEGAN + 4 * HOUR + 1800)


def cycles(hour: int) -> Iterator[Entry]:
    """One a minute; a minute of failures in the third hour, from which an alert fires until the fifth."""
    began = BEGAN + hour * HOUR
    for at in (began + 60 * number + 7.5 for number in range(60 if hour not in SILENT else 0)):
        value = 0.95 if hour in FULL and at > began + 1800 else 0.3
        read = Reading(POOL, "api", at, Judged.BREACH if value > 0.9 else Judged.OK, value, "")
        failed = at == DOWN
        changed = [each for each in (FIRED, RESOLVED) if at - 60 < changed_at(each) <= at]
        yield entry(
            at,
            probes=(probe(at, "timeout" if failed else "ok", interval=60.0),),
            readings=(read,),
            changed=tuple(changed),
        )


def changed_at(alert: Alert) -> float:
    return alert.resolved_at or alert.fired_at or 0.0


def url(store: History) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def told(source: FromHistory | AsOf) -> list[object]:
    async def ask() -> list[object]:
        judged = [await source.seen(each) for each in (POOL, SHORT)]
        return [*judged, await source.firing()]

    return asyncio.run(ask())


def stretch(store: History, since: float = BEGAN, every: float = HOUR) -> AsOf:
    names = [each.name for each in FEW]
    fine = every % HOUR != 0
    known = loaded(store, "api", names, since, NOW, past=longest_window(CONFIG), fine=fine)
    return AsOf(known, "api", CONFIG, CONFIG.claims["pool-usage"])


def replayed(store: History, every: float = HOUR) -> Replay:
    known = {"api": stretch(store, every=every).known}
    return asyncio.run(replay(known, CONFIG, PROFILE, moments(BEGAN + 1, NOW, every), every))


def test_what_was_known_on_the_hour_is_known_afterwards(store: History) -> None:
    then = []
    for hour in range(HOURS):
        store.record([*cycles(hour)])
        end = BEGAN + (hour + 1) * HOUR
        then.append(told(FromHistory(url(store), "api", partial(float, end))))
    past = stretch(store)
    for hour, expected in enumerate(then):
        past.at = BEGAN + (hour + 1) * HOUR
        assert told(past) == expected, f"hour {hour}"
    assert [each[2] for each in then] == [[], [], ["target-down: 3 failures"], None, [], [], [], []]


def test_how_often_when_and_why(store: History) -> None:
    for hour in range(HOURS):
        store.record([*cycles(hour)])
    found = replayed(store)
    assert found.total() == {Exit.PASS: 1, Exit.FAIL: 5, Exit.INCONCLUSIVE: 2}
    assert found.checks["pool-usage"] == {Verdict.PASS: 5, Verdict.FAIL: 2, Verdict.INCONCLUSIVE: 1}
    assert found.left_out == ("ready",)
    full = next(each for each in found.periods if each.check == "pool-usage" and each.verdict is Verdict.FAIL)
    assert (full.since, full.lasted) == (BEGAN + 6 * HOUR, 2 * HOUR)
    assert full.said == "95 % (the agent's last reading, of 1 min)"
    shown = text(found)
    assert "8 gates, 1 target" in shown
    assert "in all  1 (12.5 %)  5 (62.5 %)" in shown
    assert "Not in a history, so not replayed: ready" in shown
    assert json.loads(as_json(found))["gates"] == {"in all": {"passed": 1, "blocked": 5, "nobody_knows": 2}}


def test_between_hours_what_is_not_kept_is_not_known(store: History) -> None:
    for hour in range(HOURS):
        store.record([*cycles(hour)])
    fine = replayed(store, every=HOUR / 2)
    assert fine.checks["pool-usage"][Verdict.INCONCLUSIVE] == 2
    store.prune(NOW + 3 * 86400)
    coarse = replayed(store, every=HOUR / 2)
    assert coarse.checks["pool-usage"] == {Verdict.PASS: 5, Verdict.FAIL: 2, Verdict.INCONCLUSIVE: 9}


def asked(**changes: object) -> Asked:
    return dataclasses.replace(
        Asked("", "post-deploy", "history", "8h", "1h", None, None, None),
        **changes,  # type: ignore[arg-type]
    )


def test_no_history_is_no_pass(
    store: History, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATE_HISTORY", url(store))
    assert run(asked(), NOW) == 5
    assert "NO_SAMPLES: the history is empty: nothing was ever probed" in capsys.readouterr().err
    store.record([*cycles(0)])
    assert run(asked(), NOW + 86400) == 5
    assert "nothing of 8h can be judged" in capsys.readouterr().err
    assert run(asked(), NOW) == 0


def test_the_command(tmp_path: Path) -> None:
    database, left = f"sqlite:///{tmp_path}/history.db", tmp_path / "replay.json"
    store = History(database)
    store.create()
    for hour in range(2):
        store.record([*cycles(hour)])
    store.close()
    since = ("replay", "--since", "400d", "--every", "1h")
    environ = {"GATE_HISTORY": database, "COLUMNS": "400"}
    ran = CliRunner().invoke(app, [*since, "--target", "apo"], env=environ)
    assert (ran.exit_code, "did you mean 'api'" in ran.output) == (2, True), ran.output
    for wrong in (("--every", "10s"), ("--since", "x"), ("--from", "probes"), ("--every", "1m")):
        assert CliRunner().invoke(app, [*since, *wrong], env=environ).exit_code == 2
    assert CliRunner().invoke(app, since, env={"GATE_HISTORY": ""}).exit_code == 2
    gone = CliRunner().invoke(app, since, env={"GATE_HISTORY": f"sqlite:///{tmp_path}/none.db"})
    assert (gone.exit_code, "there is no file" in gone.output) == (5, True)
    good = CliRunner().invoke(app, [*since, "--json", str(left)], env=environ)
    assert good.exit_code in (0, 5), good.output
