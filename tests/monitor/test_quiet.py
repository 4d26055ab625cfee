"""Silences, acknowledgements and maintenance, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import time as clock_reading
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.asking import OWN_TARGET, RefusedError
from monitor.config import Config
from monitor.history import History
from monitor.hours import Hours
from monitor.maintenance import MOST_MAINTENANCE, OneOff, Weekly
from monitor.quiet import STALE_AFTER, Quiet
from monitor.quietstore import KEEP_ENDED, QuietStore
from monitor.silences import LONGEST_SILENCE, MOST_SILENCES, Silence
from tests.monitor.making import FIRING, notifier, target
from tests.servers import eventually

NOW = 1_800_000_000.0
HOUR = 3600.0
ZURICH = ZoneInfo("Europe/Zurich")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def history(url: str) -> Iterator[History]:
    made = History(url)
    made.create()
    yield made
    made.close()


def config(**changes: Any) -> Config:
    made = Config((target("api"), target("web")), (), "127.0.0.1", 0, "", None, 1.0, Path("monitor.yml"))
    return replace(made, **changes)


@pytest.fixture
def quiet(history: History) -> Quiet:
    return Quiet(QuietStore(history.engine), config())


def unstored(**changes: Any) -> Quiet:
    """Asked only what the configuration says."""
    return Quiet(QuietStore(sa.create_engine("sqlite://")), config(**changes))


def silenced(quiet: Quiet, **changes: Any) -> Silence:
    asked: dict[str, Any] = {"author": "ann", "reason": "known", "ends_at": NOW + HOUR, "target": "api"}
    return quiet.add_silence(now=NOW, **asked | changes)


def test_a_silence_holds_back_what_it_names_until_it_ends(quiet: Quiet) -> None:
    silenced(quiet)
    assert str(quiet.withheld(FIRING, "api", NOW)).startswith("silenced by ann until ")
    assert quiet.withheld(FIRING, "api", NOW) == quiet.withheld(FIRING, "api", NOW + HOUR - 1)
    assert quiet.withheld(FIRING, "web", NOW) is None
    assert quiet.withheld(FIRING, "api", NOW + HOUR) is None


def test_everybody_who_reads_the_store_knows(quiet: Quiet, history: History) -> None:
    other = Quiet(QuietStore(history.engine), config())
    silenced(quiet)
    assert other.withheld(FIRING, "api", NOW) is None
    other.refresh(NOW)
    assert other.withheld(FIRING, "api", NOW) == quiet.withheld(FIRING, "api", NOW)
    assert other.silences(NOW) == quiet.silences(NOW)


def test_a_silence_may_begin_later_and_end_sooner(quiet: Quiet) -> None:
    later = silenced(quiet, starts_at=NOW + 60)
    assert quiet.withheld(FIRING, "api", NOW + 59) is None
    assert quiet.withheld(FIRING, "api", NOW + 60)
    assert quiet.expire_silence(later.id, NOW + 100)
    assert quiet.withheld(FIRING, "api", NOW + 100) is None
    assert not quiet.expire_silence(later.id, NOW + 101)
    assert [each.ends_at for each in quiet.ended_silences(NOW, NOW + 101)] == [NOW + 100]


def test_one_that_is_ended_before_it_begins_never_does(quiet: Quiet) -> None:
    later = silenced(quiet, starts_at=NOW + 60)
    assert quiet.expire_silence(later.id, NOW)
    assert quiet.silences(NOW) == []
    assert quiet.withheld(FIRING, "api", NOW + 61) is None
    assert not quiet.expire_silence(later.id, NOW)


@pytest.mark.parametrize(
    ("asked", "matches"),
    [
        ({"target": "api"}, True),
        ({"target": "a*"}, True),
        ({"target": "w?b"}, False),
        ({"target": "", "name": "error-rate"}, True),
        ({"name": "latency-*"}, False),
        ({"name": "error-*", "severity": "page"}, True),
        ({"severity": "ticket"}, False),
        ({"target": "", "severity": "page"}, True),
    ],
)
def test_what_a_silence_means(asked: dict[str, str], matches: bool) -> None:
    silence = Silence(1, "ann", "known", NOW, NOW + 1, **{"target": "api"} | asked)
    assert silence.matches(FIRING, "api") is matches


def test_only_its_full_name_silences_the_agent_itself(quiet: Quiet) -> None:
    own = replace(FIRING, key=FIRING.key._replace(target=OWN_TARGET))
    for pattern in ("*", "", "paciolus-*"):
        with contextlib.suppress(RefusedError):
            silenced(quiet, target=pattern, severity="page")
    assert quiet.withheld(FIRING, "api", NOW)
    assert quiet.withheld(own, OWN_TARGET, NOW) is None
    silenced(quiet, target=OWN_TARGET)
    assert quiet.withheld(own, OWN_TARGET, NOW)


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"target": ""}, "target", "name a target, an alert or a severity; a target of '*' is all of them"),
        ({"target": "apu"}, "target", "there is no target 'apu'; did you mean 'api'?"),
        ({"target": "x" * 101}, "target", "expected at most 100 characters, got 101"),
        ({"name": "x" * 101}, "name", "expected at most 100 characters, got 101"),
        ({"severity": "pages"}, "severity", "there is no severity 'pages'; did you mean 'page'?"),
        ({"author": " "}, "author", "missing; others must be able to tell"),
        ({"author": "a" * 81}, "author", "expected at most 80 characters, got 81"),
        ({"reason": ""}, "reason", "missing; others must be able to tell"),
        ({"reason": "r" * 501}, "reason", "expected at most 500 characters, got 501"),
        ({"reason": "two\nlines"}, "reason", "expected one line of printable text"),
        ({"ends_at": NOW}, "ends_at", "expected a time to come, after it starts"),
        ({"starts_at": NOW + 2 * HOUR}, "ends_at", "expected a time to come, after it starts"),
        ({"ends_at": float("nan")}, "ends_at", "expected a time to come, after it starts"),
        (
            {"ends_at": NOW + 86400 + LONGEST_SILENCE},
            "ends_at",
            "expected at most 30 d, got 31 d; renew it then, if need be",
        ),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(asked: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        silenced(unstored(), **asked)
    assert (caught.value.field, str(caught.value)) == (field, said)


def test_there_are_only_so_many(quiet: Quiet, history: History) -> None:
    from monitor.quietstore import maintenance, silences

    silence = {"author": "a", "reason": "r", "target": "api", "name": "", "severity": ""}
    window = {"author": "a", "reason": "r", "targets": "[]", "start": NOW, "end": NOW + HOUR}
    with history.engine.begin() as connection:
        times = {"starts_at": NOW, "ends_at": NOW + HOUR}
        connection.execute(silences.insert(), [silence | times] * MOST_SILENCES)
        connection.execute(maintenance.insert(), [window] * MOST_MAINTENANCE)
    with pytest.raises(RefusedError, match="there are 200 silences already; end some first"):
        silenced(quiet)
    with pytest.raises(RefusedError, match="there are 200 maintenance windows already"):
        quiet.add_maintenance(author="ann", reason="move", start=NOW, end=NOW + HOUR, now=NOW)
    quiet.add_silence(now=NOW + HOUR, author="a", reason="r", ends_at=NOW + 2 * HOUR, target="api")


def test_what_ended_is_kept_for_a_year_and_its_number_is_not_used_again(quiet: Quiet) -> None:
    first = silenced(quiet)
    much_later = NOW + HOUR + KEEP_ENDED + 1
    second = quiet.add_silence(
        now=much_later, author="ann", reason="again", ends_at=much_later + HOUR, target="api"
    )
    assert second.id > first.id
    assert quiet.ended_silences(0.0, much_later) == []


def test_an_acknowledgement_lasts_until_it_is_taken_back(quiet: Quiet) -> None:
    quiet.acknowledge("key", author="ann", reason="on it", now=NOW)
    assert quiet.acknowledged("key", NOW + 99 * HOUR)
    assert quiet.acknowledged("other", NOW) is None
    quiet.acknowledge("key", author="bob", reason="I took over", now=NOW + 1)
    found = quiet.acknowledged("key", NOW + 2)
    assert found
    assert (found.author, found.at) == ("bob", NOW + 1)
    assert quiet.unacknowledge("key", NOW + 3)
    assert quiet.acknowledged("key", NOW + 3) is None
    assert not quiet.unacknowledge("key", NOW + 3)


def test_or_until_its_time_is_over(quiet: Quiet) -> None:
    quiet.acknowledge("key", author="ann", reason="after lunch", until=NOW + HOUR, now=NOW)
    assert quiet.acknowledged("key", NOW + HOUR - 1)
    assert quiet.acknowledged("key", NOW + HOUR) is None
    quiet.refresh(NOW + HOUR)
    assert quiet.acknowledged("key", NOW + HOUR) is None
    for until in (NOW, NOW + 31 * 86400):
        with pytest.raises(RefusedError, match="expected a time within the next 30 d"):
            quiet.acknowledge("key", author="ann", reason="later", until=until, now=NOW)


def test_maintenance_by_hand(quiet: Quiet, history: History) -> None:
    made = quiet.add_maintenance(
        author="ann", reason="move", start=NOW + 60, end=NOW + HOUR, targets=["w*"], now=NOW
    )
    again = Quiet(QuietStore(history.engine), config())
    again.refresh(NOW)
    assert again.windows() == (made,)
    assert again.withheld(FIRING, "web", NOW) is None
    assert str(again.withheld(FIRING, "web", NOW + 60)).startswith("maintenance until ")
    assert again.withheld(FIRING, "api", NOW + 60) is None
    assert made.id
    assert quiet.end_maintenance(made.id, NOW + 61)
    assert quiet.withheld(FIRING, "web", NOW + 61) is None
    assert not quiet.end_maintenance(made.id, NOW + 62)
    with pytest.raises(RefusedError, match="expected 1 min to 30 d, got 10 s"):
        quiet.add_maintenance(author="ann", reason="move", start=NOW, end=NOW + 10, now=NOW)


def test_maintenance_of_everything_leaves_the_agent_itself_out() -> None:
    window = OneOff("move", NOW, NOW + HOUR)
    quiet = unstored(maintenance=(window,))
    assert quiet.withheld(FIRING, "api", NOW)
    assert quiet.withheld(FIRING, OWN_TARGET, NOW) is None


def test_the_window_that_ends_last_is_the_one_that_is_named() -> None:
    every_day = Weekly("backup", frozenset(range(7)), clock_reading(0), 86400.0, ZURICH)
    quiet = unstored(maintenance=(OneOff("short", NOW, NOW + 60, zone=ZURICH), every_day))
    assert quiet.withheld(FIRING, "api", NOW) == "maintenance until Sat 2027-01-16 00:00 CET: backup"


def test_hours_and_windows_follow_a_new_configuration() -> None:
    hours = Hours(ZURICH, frozenset({5}))
    quiet = unstored(notify=(replace(notifier("chat", url="http://127.0.0.1:9"), hours=hours),))
    assert not quiet.receiver_open("chat", "ticket", NOW)  # a Friday
    assert quiet.receiver_open("chat", "page", NOW)
    assert quiet.receiver_open("somebody else", "ticket", NOW)
    quiet.configure(config(maintenance=(OneOff("move", NOW, NOW + 60),)))
    assert quiet.receiver_open("chat", "ticket", NOW)
    assert quiet.withheld(FIRING, "api", NOW)


@contextlib.asynccontextmanager
async def reading(quiet: Quiet, clock: Any = lambda: NOW) -> Any:
    task = asyncio.create_task(quiet.run(clock))
    yield
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.quiet.READ_EVERY", 0.01)
    monkeypatch.setattr("monitor.quiet.READ_DEADLINE", 0.05)


@pytest.mark.usefixtures("often")
async def test_the_agent_sees_what_others_ask(quiet: Quiet, history: History) -> None:
    agent = Quiet(QuietStore(history.engine), config())
    async with reading(agent):
        await asyncio.to_thread(silenced, quiet)
        await eventually(lambda: agent.withheld(FIRING, "api", NOW))


@pytest.mark.usefixtures("often")
async def test_while_the_store_is_away_what_was_known_holds(
    quiet: Quiet, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = [NOW]
    silenced(quiet)
    assert quiet.fault(NOW) is None
    rename = "ALTER TABLE {} RENAME TO {}"
    with history.engine.begin() as connection:
        connection.exec_driver_sql(rename.format("silences", "gone"))
    async with reading(quiet, lambda: clock[0]):
        await eventually(lambda: "silences can't be read" in caplog.text)
        clock[0] += STALE_AFTER
        said = quiet.fault(clock[0])
        assert said
        assert said.startswith("silences and acknowledgements have not been read for 1 min: ")
        assert quiet.withheld(FIRING, "api", clock[0])
        with history.engine.begin() as connection:
            connection.exec_driver_sql(rename.format("gone", "silences"))
        await eventually(lambda: "silences can be read again" in caplog.text)
        assert quiet.fault(clock[0]) is None
    assert caplog.text.count("silences can't be read") == 1


class Hanging(QuietStore):
    """A store whose answers do not come before they are let go."""

    def __init__(self) -> None:
        super().__init__(sa.create_engine("sqlite://"))
        self.asked = 0
        self.let_go = threading.Event()

    def load(self, now: float) -> Any:
        self.asked += 1
        self.let_go.wait(10)
        raise SQLAlchemyError("too late")


@pytest.mark.usefixtures("often")
async def test_a_store_that_hangs_holds_up_one_thread_and_says_so() -> None:
    store = Hanging()
    quiet = Quiet(store, config())
    assert quiet.fault(NOW) is None
    async with reading(quiet):
        said = "silences and acknowledgements have not been read yet: no answer within 50 ms"
        await eventually(lambda: quiet.fault(NOW) == said)
        await asyncio.sleep(0.2)
        assert store.asked == 1
        store.let_go.set()
        await eventually(lambda: store.asked > 2)


def test_a_locked_table_is_an_error_in_time(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 1.0)
    history = History(postgres_url)
    history.create()
    quiet = Quiet(QuietStore(history.engine), config())
    silenced(quiet)
    with history.engine.connect() as other:
        other.exec_driver_sql("LOCK TABLE silences")
        with pytest.raises(SQLAlchemyError, match="statement timeout"):
            quiet.refresh(NOW)
    assert quiet.withheld(FIRING, "api", NOW)
    history.close()
